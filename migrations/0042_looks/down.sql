DROP TABLE break_glass, customer_merchant;

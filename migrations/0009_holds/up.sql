-- Holds, lots, quotas and what builds on earlier rows. All of it is written in the commit of the record it follows from,
-- and can be derived again from the records.

SET LOCAL lock_timeout = '5s';

-- What an account keeps beside its balance: 0 nothing, 1 lots, 2 what is left of an allowance. `counterpart` is where its
-- expired lots go, or the pool its allowance comes from; `nature_minor` the grace in microseconds, or the allowance.
ALTER TABLE journal.account
    ADD COLUMN closed       boolean NOT NULL DEFAULT false,
    ADD COLUMN nature       integer NOT NULL DEFAULT 0,
    ADD COLUMN counterpart  uuid,
    ADD COLUMN nature_minor bigint  NOT NULL DEFAULT 0,
    ADD COLUMN period       integer NOT NULL DEFAULT 0,
    ADD COLUMN calendar     integer NOT NULL DEFAULT 0,
    ADD COLUMN period_us    bigint  NOT NULL DEFAULT 0;

-- A floor may be passed by what is owed (claw-back), so the row cannot know it: the writer and verify do.
ALTER TABLE journal.account DROP CONSTRAINT account_check;
ALTER TABLE journal.account ADD CHECK (checkpoint_held >= 0);

-- A row that captures, gives back or moves back an earlier one: the way from there to here.
CREATE TABLE journal.link (
    journal bigint  NOT NULL,
    of_seq  bigint  NOT NULL,
    of_leg  integer NOT NULL,
    seq     bigint  NOT NULL,
    leg     integer NOT NULL,
    kind    integer NOT NULL,
    amount  bigint  NOT NULL CHECK (amount > 0),
    PRIMARY KEY (journal, of_seq, of_leg, seq, leg)
);

-- Named by the row that opened it. Never: expires_us is the largest bigint.
CREATE TABLE journal.hold (
    journal    bigint  NOT NULL,
    seq        bigint  NOT NULL,
    leg        integer NOT NULL,
    debit      bigint  NOT NULL,
    credit     bigint  NOT NULL,
    asset      integer NOT NULL,
    amount     bigint  NOT NULL CHECK (amount > 0),
    remaining  bigint  NOT NULL CHECK (remaining BETWEEN 0 AND amount),
    expires_us bigint  NOT NULL,
    PRIMARY KEY (journal, seq, leg)
) WITH (fillfactor = 80);
CREATE INDEX hold_open   ON journal.hold (journal, debit, expires_us) WHERE remaining > 0;
CREATE INDEX hold_ending ON journal.hold (journal, expires_us) WHERE remaining > 0;

-- Earnings of an account that nothing tells apart, counted together; the key's order is the order they are spent in.
CREATE TABLE journal.lot (
    journal      bigint  NOT NULL,
    account      bigint  NOT NULL,
    expires_us   bigint  NOT NULL,
    earned_day   integer NOT NULL,
    activates_us bigint  NOT NULL,
    campaign     uuid    NOT NULL,
    unit_cost    bigint  NOT NULL,
    remaining    bigint  NOT NULL,
    held         bigint  NOT NULL,
    PRIMARY KEY (journal, account, expires_us, earned_day, activates_us, campaign, unit_cost),
    CHECK (held >= 0 AND remaining >= held)
) WITH (fillfactor = 70);
CREATE INDEX lot_left   ON journal.lot (journal, account, expires_us, earned_day, activates_us, campaign, unit_cost)
    WHERE remaining > 0;
CREATE INDEX lot_ending ON journal.lot (journal, expires_us) WHERE remaining > held;
-- Few: the query names activates_us > now, which is above zero.
CREATE INDEX lot_pending ON journal.lot (journal, account, activates_us) WHERE remaining > held AND activates_us > 0;

-- Beside the functions of the same names that nodes of the last release still call; a later migration drops those. A node
-- of this release raises the version of every head it comes to lead, and from then on no earlier one leads it.

-- The rows of a batch, but for those of `journal.state`. Planned once per session. The arrays of a table are equally long
-- and are read in step: unnest() in the list, not in FROM, where PostgreSQL would first store each of them.
CREATE FUNCTION journal.rows(
    p_journal bigint, p_first bigint, p_last bigint, p_now bigint,
    k_scope bigint[], k_key uuid[], k_fingerprint uuid[], k_seq bigint[],
    c_claim uuid[], c_seq bigint[],
    r_kind integer[], r_id uuid[], r_effective bigint[], r_body bytea[], r_meta bytea[],
    t_seq bigint[], t_leg integer[], t_kind integer[], t_asset integer[], t_debit bigint[], t_credit bigint[],
    t_amount bigint[], t_debit_balance bigint[], t_debit_held bigint[], t_debit_version bigint[],
    t_credit_balance bigint[], t_credit_held bigint[], t_credit_version bigint[],
    a_id bigint[], a_public_id uuid[], a_asset integer[], a_side integer[], a_owner uuid[],
    a_floor bigint[], a_ceiling bigint[],
    a_nature integer[], a_counterpart uuid[], a_minor bigint[], a_period integer[], a_calendar integer[],
    x_kind integer[], x_key uuid[], x_seq bigint[], x_place integer[], x_body bytea[]
) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO journal.record (journal, seq, kind, id, recorded_us, effective_us, body, meta)
    SELECT p_journal, generate_series(p_first, p_last), unnest(r_kind), unnest(r_id), p_now, unnest(r_effective),
        unnest(r_body), unnest(r_meta);
    IF cardinality(k_key) > 0 THEN
        INSERT INTO journal.key (journal, scope, key, fingerprint, seq)
        SELECT p_journal, unnest(k_scope), unnest(k_key), unnest(k_fingerprint), unnest(k_seq);
    END IF;
    IF cardinality(t_seq) > 0 THEN
        INSERT INTO journal.transfer (journal, seq, leg, kind, asset, debit, credit, amount,
            debit_balance, debit_held, debit_version, credit_balance, credit_held, credit_version)
        SELECT p_journal, unnest(t_seq), unnest(t_leg), unnest(t_kind), unnest(t_asset), unnest(t_debit),
            unnest(t_credit), unnest(t_amount), unnest(t_debit_balance), unnest(t_debit_held), unnest(t_debit_version),
            unnest(t_credit_balance), unnest(t_credit_held), unnest(t_credit_version);
    END IF;
    IF cardinality(c_claim) > 0 THEN
        INSERT INTO journal.claim (journal, claim, seq) SELECT p_journal, unnest(c_claim), unnest(c_seq);
    END IF;
    IF cardinality(a_id) > 0 THEN
        INSERT INTO journal.account (journal, id, public_id, asset, normal_side, owner, floor, ceiling,
            nature, counterpart, nature_minor, period, calendar)
        SELECT p_journal, unnest(a_id), unnest(a_public_id), unnest(a_asset), unnest(a_side), unnest(a_owner),
            unnest(a_floor), unnest(a_ceiling), unnest(a_nature), unnest(a_counterpart), unnest(a_minor),
            unnest(a_period), unnest(a_calendar);
    END IF;
    IF cardinality(x_key) > 0 THEN
        INSERT INTO journal.companion (journal, kind, key, seq, place, body)
        SELECT p_journal, unnest(x_kind), unnest(x_key), unnest(x_seq), unnest(x_place), unnest(x_body);
    END IF;
END
$$;

-- What a batch changes beside balances: rules, holds, links, lots. Called in the same statement, by batches that do. Rows
-- that exist are changed one at a time, by index: joined to an array the planner may read a whole table for each element.
CREATE FUNCTION journal.state(
    p_journal bigint,
    e_id bigint[], e_debits integer[], e_credits integer[], e_closed integer[], e_floor bigint[], e_ceiling bigint[],
    e_minor bigint[], e_period_us bigint[],
    h_seq bigint[], h_leg integer[], h_debit bigint[], h_credit bigint[], h_asset integer[], h_amount bigint[],
    h_remaining bigint[], h_expires bigint[],
    o_seq bigint[], o_leg integer[], o_remaining bigint[],
    l_of_seq bigint[], l_of_leg integer[], l_seq bigint[], l_leg integer[], l_kind integer[], l_amount bigint[],
    n_account bigint[], n_expires bigint[], n_day integer[], n_activates bigint[], n_campaign uuid[], n_cost bigint[],
    n_remaining bigint[], n_held bigint[],
    m_account bigint[], m_expires bigint[], m_day integer[], m_activates bigint[], m_campaign uuid[], m_cost bigint[],
    m_remaining bigint[], m_held bigint[]
) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    FOR place IN 1 .. cardinality(e_id) LOOP
        UPDATE journal.account SET debits_frozen = e_debits[place] = 1, credits_frozen = e_credits[place] = 1,
            closed = e_closed[place] = 1, floor = e_floor[place], ceiling = e_ceiling[place],
            nature_minor = e_minor[place], period_us = e_period_us[place]
        WHERE journal = p_journal AND id = e_id[place];
    END LOOP;
    IF cardinality(h_seq) > 0 THEN
        INSERT INTO journal.hold (journal, seq, leg, debit, credit, asset, amount, remaining, expires_us)
        SELECT p_journal, unnest(h_seq), unnest(h_leg), unnest(h_debit), unnest(h_credit), unnest(h_asset),
            unnest(h_amount), unnest(h_remaining), unnest(h_expires);
    END IF;
    FOR place IN 1 .. cardinality(o_seq) LOOP
        UPDATE journal.hold SET remaining = o_remaining[place]
        WHERE journal = p_journal AND seq = o_seq[place] AND leg = o_leg[place];
    END LOOP;
    IF cardinality(l_seq) > 0 THEN
        INSERT INTO journal.link (journal, of_seq, of_leg, seq, leg, kind, amount)
        SELECT p_journal, unnest(l_of_seq), unnest(l_of_leg), unnest(l_seq), unnest(l_leg), unnest(l_kind),
            unnest(l_amount);
    END IF;
    -- What grows as a new lot would may be new; any other is there.
    IF cardinality(n_account) > 0 THEN
        INSERT INTO journal.lot AS lot (journal, account, expires_us, earned_day, activates_us, campaign, unit_cost,
            remaining, held)
        SELECT p_journal, unnest(n_account), unnest(n_expires), unnest(n_day), unnest(n_activates), unnest(n_campaign),
            unnest(n_cost), unnest(n_remaining), unnest(n_held)
        ON CONFLICT (journal, account, expires_us, earned_day, activates_us, campaign, unit_cost) DO UPDATE
        SET remaining = lot.remaining + excluded.remaining, held = lot.held + excluded.held;
    END IF;
    FOR place IN 1 .. cardinality(m_account) LOOP
        UPDATE journal.lot SET remaining = remaining + m_remaining[place], held = held + m_held[place]
        WHERE journal = p_journal AND account = m_account[place] AND expires_us = m_expires[place]
            AND earned_day = m_day[place] AND activates_us = m_activates[place] AND campaign = m_campaign[place]
            AND unit_cost = m_cost[place];
        IF NOT FOUND THEN
            RAISE EXCEPTION 'account % has no such lot', m_account[place] USING ERRCODE = 'TS002';
        END IF;
    END LOOP;
END
$$;

-- A batch: one call, one commit. The first argument is the journal, which is what a sharded deployment routes by.
CREATE FUNCTION journal.post(
    p_journal bigint, p_epoch bigint, p_first bigint, p_last bigint, p_version integer,
    p_now bigint, p_offset bigint, p_digest bytea,
    k_scope bigint[], k_key uuid[], k_fingerprint uuid[], k_seq bigint[],
    c_claim uuid[], c_seq bigint[],
    r_kind integer[], r_id uuid[], r_effective bigint[], r_body bytea[], r_meta bytea[],
    t_seq bigint[], t_leg integer[], t_kind integer[], t_asset integer[], t_debit bigint[], t_credit bigint[],
    t_amount bigint[], t_debit_balance bigint[], t_debit_held bigint[], t_debit_version bigint[],
    t_credit_balance bigint[], t_credit_held bigint[], t_credit_version bigint[],
    a_id bigint[], a_public_id uuid[], a_asset integer[], a_side integer[], a_owner uuid[],
    a_floor bigint[], a_ceiling bigint[],
    a_nature integer[], a_counterpart uuid[], a_minor bigint[], a_period integer[], a_calendar integer[],
    x_kind integer[], x_key uuid[], x_seq bigint[], x_place integer[], x_body bytea[]
) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM journal.head(p_journal, p_epoch, p_first, p_last, p_version, p_now, p_offset, p_digest);
    PERFORM journal.rows(p_journal, p_first, p_last, p_now, k_scope, k_key, k_fingerprint, k_seq, c_claim, c_seq,
        r_kind, r_id, r_effective, r_body, r_meta,
        t_seq, t_leg, t_kind, t_asset, t_debit, t_credit, t_amount, t_debit_balance, t_debit_held, t_debit_version,
        t_credit_balance, t_credit_held, t_credit_version,
        a_id, a_public_id, a_asset, a_side, a_owner, a_floor, a_ceiling,
        a_nature, a_counterpart, a_minor, a_period, a_calendar, x_kind, x_key, x_seq, x_place, x_body);
END
$$;

GRANT SELECT, INSERT ON journal.link, journal.hold, journal.lot TO tessera_app;
GRANT UPDATE (remaining) ON journal.hold TO tessera_app;
GRANT UPDATE (remaining, held) ON journal.lot TO tessera_app;
GRANT UPDATE (closed, floor, ceiling, nature_minor, period_us) ON journal.account TO tessera_app;

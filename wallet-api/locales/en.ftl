# Words of the wallet API in English. it.ftl holds the same ids: a test says so.

## Problems of the edge

problem-internal = Something went wrong on our side
problem-internal-detail = Try again; if it goes on, tell us the x-request-id.
problem-not-found = There is nothing here
problem-not-found-detail = Check the address and the id in it.
problem-method-not-allowed = This cannot be done here
problem-method-not-allowed-detail = Check the method against the documentation.
problem-request-malformed = The request cannot be read
problem-request-malformed-detail = Check its path, query and headers against the documentation.
problem-headers-too-large = The headers are too large
problem-headers-too-large-detail = Send fewer or shorter ones.
problem-deadline = This took too long
problem-deadline-detail = Repeat the request; if it changes something, with the same Idempotency-Key.
problem-media-type-unsupported = We do not read this kind of body
problem-media-type-unsupported-detail = Send JSON, with Content-Type: application/json.
problem-body-too-large = The body is too large
problem-body-too-large-detail = Send at most { $limit_bytes } bytes.
problem-body-malformed = The body is not JSON as we read it
problem-body-malformed-detail = Correct it: { $reason }
problem-body-invalid = The body is not what is asked for here
problem-body-invalid-detail = See errors for the place and the mistake.
problem-idempotency-key-missing = The Idempotency-Key is missing
problem-idempotency-key-missing-detail = Send an Idempotency-Key header, a new UUID for each intent, and repeat it when you retry.
problem-idempotency-key-invalid = The Idempotency-Key cannot be one
problem-idempotency-key-invalid-detail = Send one Idempotency-Key header of 1 to 255 visible ASCII characters, best a UUID.
problem-cursor-invalid = The cursor is not from this listing
problem-cursor-invalid-detail = Use next_cursor of the page before, as it is, or leave it out to begin again.
problem-limit-invalid = Pages have another size
problem-limit-invalid-detail = Ask for 1 to { $most } at a time.

problem-rate-limited = Too many requests
problem-rate-limited-detail = Send less at a time: Retry-After says when there is room again. Nothing happened, the key stays free.
problem-overloaded = Too much at once
problem-overloaded-detail = Try again in a moment, later each time. Nothing happened, the key stays free.

## Problems of the database

problem-database-busy = Too much at once
problem-database-busy-detail = Try again in a moment.
problem-database-slow = This took too long
problem-database-slow-detail = Repeat the request; if it changes something, with the same Idempotency-Key.
problem-database-unreachable = We cannot reach our books
problem-database-unreachable-detail = Repeat the request in a moment; if it changes something, with the same Idempotency-Key.

## Problems of keys and tenants

problem-people-only = This is for people
problem-people-only-detail = Sign in as the person whose it is.
problem-sign-in-again = You were away for too long
problem-sign-in-again-detail = Sign in again with your passkey: five minutes went by without anything being asked.
problem-scope-of-people = No key can have this scope
problem-scope-of-people-detail = Leave it out: people sign in.
problem-use-dpop-nonce = The proof has not our nonce
problem-use-dpop-nonce-detail = Make the proof again with the nonce of the DPoP-Nonce header.
problem-session-over = The session is over
problem-session-over-detail = Sign in again.
problem-unauthenticated = We do not know you
problem-unauthenticated-detail = Send a valid key: Authorization: Bearer tsk_...
problem-scope-missing = The key may not do this
problem-scope-missing-detail = It lacks the scope { $scope }: use a key that has it.
problem-slug-invalid = This cannot be a slug
problem-slug-invalid-detail = Use 1 to 63 of a-z, 0-9 and, inside, -.
problem-slug-taken = The slug is taken
problem-slug-taken-detail = Choose another.
problem-number-taken = The number or the slug is taken
problem-number-taken-detail = Use a database without that tenant.
problem-name-missing = The name is missing
problem-name-missing-detail = Give it one.
problem-scopes-missing = The key could do nothing
problem-scopes-missing-detail = Name at least one scope.
problem-tenant-unknown = There is no such tenant
problem-tenant-unknown-detail = Check its slug.
problem-client-unknown = There is no such client
problem-client-unknown-detail = Leave it out to make a new one.
problem-key-unknown = There is no such key
problem-key-unknown-detail = Check its prefix.

## Operators

problem-operators-only = This is for operators
problem-operators-only-detail = Sign in as somebody who works for the company.
problem-role-missing = Your roles do not allow this
problem-role-missing-detail = It takes a role with { $scope }, at this hour and for this: ask an administrator.
problem-operator-refused = You were not let in
problem-operator-refused-detail = Begin again with your passkey, or ask for a new invitation.
problem-operator-unknown = There is no such operator
problem-operator-unknown-detail = Check the id or the address.
problem-role-invalid = This role cannot be given or ended so
problem-role-invalid-detail = Shop staff, billers and merchants are always of one merchant, the others never.
problem-request-for-eyes-unknown = Nobody asked for this
problem-request-for-eyes-unknown-detail = Ask first, then confirm.
problem-request-for-eyes-over = There is nothing to confirm any more
problem-request-for-eyes-over-detail = It was decided before, or nobody did in time: ask again.
problem-request-for-eyes-changed = This is not what was asked
problem-request-for-eyes-changed-detail = Somebody changed it after it was asked: look into the audit log, and ask again.
problem-request-for-eyes-orphaned = Who asked for it may not any more
problem-request-for-eyes-orphaned-detail = Who asked has left, or has lost what it takes: have somebody ask who may.
problem-passkeys-not-set = This node knows no passkeys
problem-passkeys-not-set-detail = Whoever runs it names the domain and the pages of its passkeys: --rp-id and --origin.

## Problems of the books

problem-key-reused = The key belongs to another request
problem-key-reused-detail = Use a new Idempotency-Key for a new request.
problem-too-many-refusals = Too many refusals
problem-too-many-refusals-detail = Look at why the last ones were refused, and try again later: nothing happened.
problem-queue-full = Too much at once
problem-queue-full-detail = Nothing happened: try again in a moment.
problem-not-done = This was not done in time
problem-not-done-detail = Nothing happened: try again.
problem-outcome-unknown = We do not know yet
problem-outcome-unknown-detail = Repeat with the same Idempotency-Key: you will get the one true answer.
problem-books-unavailable = We cannot reach our books
problem-books-unavailable-detail = Nothing happened: try again.
problem-books-no-room = Our books are turning a page
problem-books-no-room-detail = Nothing happened: try again in a moment.
problem-books-broken = The books are closed
problem-books-broken-detail = The books contradict themselves: nothing is posted until someone has looked.
problem-request-abandoned = This request was given up
problem-request-abandoned-detail = It was resolved before it was done, so it never happens: use a new Idempotency-Key.
problem-request-unknown = No request has used this key
problem-request-unknown-detail = It has not happened so far. To make that certain for ever, resolve it.
problem-link-refused = This is not for you
problem-link-refused-detail = Only nodes of this deployment are answered here; check their clocks and addresses.
problem-not-leader = Another node writes
problem-not-leader-detail = Ask the node named in leader, or try again in a moment.
problem-vault-closed = This node cannot read or write what is sealed
problem-vault-closed-detail = Whoever runs it names the folder of the vault's keys (TESSERA_VAULT_DIR) or gives them (TESSERA_VAULT_KEYS).
problem-vault-behind = This node is not sure yet whom it must have forgotten
problem-vault-behind-detail = Try again in a moment; if it goes on, whoever runs it reads the node's log.
problem-person-forgotten = This person was forgotten
problem-person-forgotten-detail = What was personal about them was destroyed, and cannot be brought back.
problem-no-leader = Nobody writes yet
problem-no-leader-detail = No node leads the journal yet; try again in a moment.
problem-not-yet = This node has not come so far
problem-not-yet-detail = Ask again in a moment, or without min_seq.
problem-archived = This lies in the archive
problem-archived-detail = It was moved out of the database: ask the operator to bring the seqs named back, then ask again.
problem-account-unknown = There is no such account
problem-account-unknown-detail = Who it names has no such account yet: check the ids.
problem-account-frozen = The account is frozen
problem-account-frozen-detail = Somebody froze it: ask them, then use a new Idempotency-Key.
problem-row-unsuitable = That row cannot be captured, voided or refunded so
problem-row-unsuitable-detail = Check the seq and leg, and that both accounts are those of that row.
problem-dates-unsuitable = The dates make no sense there
problem-dates-unsuitable-detail = A lot begins before it ends, a hold ends later than now, and only accounts that keep lots take dates.
problem-rate-wrong = The amount does not follow from its rate
problem-rate-wrong-detail = The amount is the other one's times numerator over denominator, rounded down.
problem-balance-too-large = The balance would be too large
problem-balance-too-large-detail = No account holds more than 2^63 - 1 units: use another one, and a new Idempotency-Key.
problem-still-due = Too much expired at once
problem-still-due-detail = Nothing of it happened: try again in a moment, with the same Idempotency-Key.
problem-too-many-lots = Too many lots for one transaction
problem-too-many-lots-detail = Nothing happened. Ask for less at once, with the same or a new Idempotency-Key.
problem-account-closed = The account is closed
problem-account-closed-detail = Have it opened again, or use another account; then use a new Idempotency-Key.
problem-account-not-empty = The account has something on it
problem-account-not-empty-detail = Move what is on it and end its holds; then use a new Idempotency-Key.
problem-hold-ended = The hold has ended
problem-hold-ended-detail = It was captured, voided, or its time has passed: nothing is left to move or to give back.
problem-hold-exceeded = Less is left of the hold
problem-hold-exceeded-detail = Capture at most what is left of it, with a new Idempotency-Key.
problem-refund-exceeded = Less is left to refund
problem-refund-exceeded-detail = Refund at most what has not been refunded, with a new Idempotency-Key.
problem-account-nature-invalid = The account cannot keep that
problem-account-nature-invalid-detail = Its counterpart is open, plain and of its asset; its floor is zero; only a quota has an allowance.
problem-nothing-due = Nothing is due on the account
problem-nothing-due-detail = Nothing has expired and no period has ended on it, or that is written down already.
problem-refund-overtaken = Another refund of this payment came first
problem-refund-overtaken-detail = Look at what is left to refund, and ask again with a new Idempotency-Key.
problem-already-cleared = The payment has cleared
problem-already-cleared-detail = There is nothing to capture or to void. What was paid can be refunded.
problem-nothing-captured = There is nothing to refund
problem-nothing-captured-detail = Nothing of it was captured: void it, and what is set aside is free again.
problem-several-captures = It was captured several times
problem-several-captures-detail = Name the capture to refund by its own id: captures has them.
problem-amount-invalid = The amount cannot be moved
problem-amount-invalid-detail = Amounts are whole minor units from 1 to 10^15.
problem-date-invalid = The date cannot be used
problem-date-invalid-detail = Dates lie between 1970 and 9999.
problem-clock-fixed = The clock cannot be moved so
problem-clock-fixed-detail = Only a sandbox's clock moves, and only forward.
problem-insufficient-funds = Not enough available
problem-insufficient-funds-detail = Top up, or pay from another source; then use a new Idempotency-Key.
problem-limit-exceeded = A limit would be passed
problem-limit-exceeded-detail = The account cannot hold that much: use a smaller amount and a new Idempotency-Key.
problem-already-done = This has been done
problem-already-done-detail = It was done before, under another Idempotency-Key.

## Problems of customers, merchants and campaigns

problem-customer-account-unknown = The customer has no such account
problem-customer-account-unknown-detail = Use available, cashback, or points:<programme>.
problem-customer-unknown = There is no such customer
problem-customer-unknown-detail = Check the customer's id.
problem-merchant-unknown = There is no such merchant
problem-merchant-unknown-detail = Check the merchant's id.
problem-campaign-unknown = There is no such campaign
problem-campaign-unknown-detail = Check the campaign's id.
problem-programme-unknown = There is no such programme
problem-programme-unknown-detail = Check the programme's id.
problem-campaigns-too-many = There are too many campaigns already
problem-campaigns-too-many-detail = Let one end first: at most { $most } may reward the same payment.
problem-rule-superseded = Somebody has just published a version
problem-rule-superseded-detail = Read the campaign again and decide whether yours is still wanted.

## Problems of hooks

problem-endpoint-refused = Hooks may not go there
problem-endpoint-refused-detail = See errors for the reason, and register another address.
problem-endpoints-too-many = There are too many endpoints
problem-endpoints-too-many-detail = There may be { $most } at most: disable one first.
problem-endpoint-disabled = The endpoint is disabled
problem-endpoint-disabled-detail = Enable it first, then ask again.
problem-secrets-too-many = Too many secrets are in force
problem-secrets-too-many-detail = { $most } that were replaced still sign: wait until one expires, or end them all with overlap_s 0.
problem-replays-too-many = There are too many replays
problem-replays-too-many-detail = { $most } may run at an endpoint: wait until one has ended, or cancel one.
problem-body-too-slow = The body took too long to come
problem-body-too-slow-detail = Send it whole within { $within_s } seconds.
problem-payment-unreadable = This node cannot read the payment
problem-payment-unreadable-detail = It was recorded by a newer release than this node's: ask again when the nodes are updated.
problem-hook-loop = This looks like a loop of hooks
problem-hook-loop-detail = More than { $most } hooks led to this call. Do not answer a hook with what raises the same hook again.
problem-event-type-unknown = There is no such event type
problem-event-type-unknown-detail = GET /v1/event-types lists them all.

## Mistakes in a field

field-missing = This field is required.
field-unknown = This field does not exist here.

## Why a reward was not given

reward-amount-too-small = The payment is too small to earn this reward.
reward-budget-exhausted = What is left of the campaign's budget does not cover this reward.
reward-campaign-paused = The campaign is paused.
reward-not-possible = The account that would receive this reward cannot take it.

## A payment in words

points = { $count ->
    [one] { $count } point
   *[other] { $count } points
}
explain-payment-wallet = { $amount } went from the wallet to { $merchant }.
explain-payment-external = { $amount } went to { $merchant }, paid with a card or account outside the wallet.
explain-payment-released = { $amount } that had been set aside was given back.
explain-rule-cashback = { $percent }% cashback, rounded down to the cent
explain-rule-cashback-capped = { $percent }% cashback, rounded down to the cent, at most { $cap } per payment
explain-rule-points = { $points ->
    [one] { $points } point for each whole euro
   *[other] { $points } points for each whole euro
}
explain-reward-given = You earned { $amount } on { $paid }: { $rule }. From the budget of “{ $campaign }” (version { $version } of its rule).
explain-reward-too-small = You earned nothing here: { $paid } is too little for { $rule } (“{ $campaign }”, version { $version } of its rule).
explain-reward-budget-exhausted = You did not earn { $amount } on { $paid } ({ $rule }): what is left of the budget of “{ $campaign }” does not cover it (version { $version } of its rule). The payment stands.
explain-reward-paused = You did not earn { $amount } on { $paid } ({ $rule }): “{ $campaign }” is paused (version { $version } of its rule). The payment stands.
explain-reward-not-possible = You did not earn { $amount } on { $paid } ({ $rule }): the account that would receive it cannot take it (“{ $campaign }”, version { $version } of its rule). The payment stands.

## Proofs of the journal

problem-record-unknown = There is no such record
problem-record-unknown-detail = Nothing was ever recorded under this seq: check it.
problem-head-unknown = There is no such head
problem-head-unknown-detail = Ask for the latest, or for a size that was signed.
problem-sizes-invalid = No log has these sizes
problem-sizes-invalid-detail = Ask from 1 up to { $last }, the size of the last head, and not backwards.
problem-accounts-invalid = These are no accounts
problem-accounts-invalid-detail = Give up to { $most } ids of accounts, with commas between.
problem-receipt-unavailable = This node cannot open a receipt
problem-receipt-unavailable-detail = It lacks the secret that opens it; another node has it, or the operator's backup.

## The API reference's chrome

reference-skip = Skip to the content
reference-language = Language
reference-contents = Contents
reference-document = OpenAPI document
reference-collection = Requests to try (.http)
reference-operations = Operations
reference-schemas = Schemas
reference-parameters = Parameters
reference-members = Members
reference-answers = Answers
reference-name = Name
reference-where = Where
reference-type = Type
reference-meaning = Meaning
reference-status = Status
reference-body = Body
reference-example = Example
reference-empty = no content
reference-required = required
reference-list-of = list of

## Problems of the books as they are

problem-transfers-missing = There is nothing to move
problem-transfers-missing-detail = A transaction has one transfer or more.
problem-too-many = Too many at once
problem-too-many-detail = At most { $limit } { $what }: send fewer at a time.
problem-same-account = Both accounts are the same
problem-same-account-detail = A transfer goes from one account to another.
problem-asset-unknown = There is no such asset
problem-asset-unknown-detail = Define it first, or check its code.
problem-asset-mismatch = The account holds another asset
problem-asset-mismatch-detail = A transfer moves one asset, and both accounts hold it.
problem-asset-exists = The asset exists
problem-asset-exists-detail = It has another scale, which never changes: use it as it is, or another code.
problem-account-limits-invalid = The limits cannot be
problem-account-limits-invalid-detail = An account opens at zero: its floor is not above that, its ceiling not below.
problem-account-exists = The account exists
problem-account-exists-detail = Use the account that is there, or another id.
problem-linked-not-done = The batch was not done
problem-linked-not-done-detail = Item { $item } of it cannot be done, or not after those before it: correct that one, or leave it out.
problem-batch-refused = The batch was not done
problem-batch-refused-detail = Nothing of it happened: see errors for the item and the reason.
problem-id-repeated = Two items have the same id
problem-id-repeated-detail = Give each item an id of its own: it is its Idempotency-Key.
problem-streams-full = Too many follow already
problem-streams-full-detail = Come back later, or ask without waiting.
problem-same-eyes = Who proposed it may not decide it
problem-same-eyes-detail = Four eyes: have somebody else approve or reject it.
problem-adjustment-expired = The proposal's time is over
problem-adjustment-expired-detail = Nobody decided in time: propose it again.
problem-adjustment-impossible = It cannot be posted any more
problem-adjustment-impossible-detail = For the reason given it could not be posted when it was approved, and never will be: propose another one.
problem-adjustment-decided = It was decided before
problem-adjustment-decided-detail = It was decided before: look at it, and propose another one if need be.

## Passkeys and approvals

problem-passkey-refused = The passkey was not accepted
problem-passkey-refused-detail = Begin again and use a passkey that you registered here.
problem-too-many-passkeys = There are too many passkeys
problem-too-many-passkeys-detail = Remove one that is not used.
problem-no-passkey = There is no passkey to approve with
problem-no-passkey-detail = Register a passkey first.
problem-payment-lapsed = The payment was not made in time
problem-payment-lapsed-detail = It was approved, was not posted in time, and never will be: ask for it anew.
problem-caution = Only little can be paid for now
problem-caution-detail = A new device or a recovery was a short while ago: pay less, or wait until the time named.
problem-payment-not-posted = The payment is not in the books
problem-payment-not-posted-detail = There is evidence of what was paid or refused: approve the payment first.
problem-approval-refused = The payment was not approved
problem-approval-refused-detail = Nothing was paid. Look at the payment and approve it again.
problem-approval-impossible = This payment cannot be approved
problem-approval-impossible-detail = Nothing was put to the payer: see why, and make the payment otherwise.
problem-device-needed = This payment needs a registered device
problem-device-needed-detail = Approve it on a device that is registered as yours.

## Reports

problem-value-terms = These terms give no value
problem-value-terms-detail = Prices, units and sums are zero or more, and goods or points have a price.
problem-report-too-long = The report does not fit a sheet
problem-report-too-long-detail = Ask for CSV, or for a shorter time.
problem-day-not-over = The day is not over
problem-day-not-over-detail = Close it from a minute after its midnight on.
problem-day-open-before = An earlier day is open
problem-day-open-before-detail = Close { $day } and the days after it first, or say that they are skipped.
problem-day-passed = A later day is closed
problem-day-passed-detail = It was skipped when { $day } was closed, whose closing has its entries.
report-liability = Liability
report-roll-forward = Roll-forward
report-statement = Statement
report-trial-balance = Trial balance
report-value = Value
report-col-seq = seq
report-col-leg = leg
report-col-sort = row
report-col-asset = asset
report-col-earned = earned in
report-col-ends = ends in
report-col-campaign = campaign
report-col-units = units
report-col-cost-millionths = cost in millionths
report-col-opening = opening
report-col-earned-units = earned
report-col-restored = restored
report-col-received = received
report-col-burned = burned
report-col-expired = expired
report-col-clawed-back = clawed back
report-col-sent = sent
report-col-offset = offset
report-col-closing = closing
report-col-transaction = transaction
report-col-recorded = recorded at
report-col-effective = effective at
report-col-other = other account
report-col-change = change
report-col-balance = balance
report-col-accounts = accounts
report-col-debits = debits
report-col-credits = credits
report-col-difference = difference
report-col-issued = issued units
report-col-used = used units
report-col-expected = expected units
report-col-points-price = points' price
report-col-goods-share = goods' share
report-col-points-share = points' share
report-col-recognised = recognised
report-col-revenue = revenue
report-col-liability = liability

## Mail and codes

problem-mail-not-set = No mail leaves here
problem-mail-not-set-detail = This needs mail, and the operator has set no mail server: --smtp-url and --mail-from.
problem-password-weak = The password is too weak
problem-password-weak-detail = Choose at least fifteen characters; a few words in a row will do.
problem-password-too-long = The password is too long
problem-password-too-long-detail = Choose at most 128 characters.
problem-mail-busy = Too much mail waits
problem-mail-busy-detail = Try again in a moment.
problem-mail-address-invalid = This is no mail address
problem-mail-address-invalid-detail = Write it as name@example.org.
problem-codes-too-many = Too many codes were asked for
problem-codes-too-many-detail = Look for one that was sent already, or wait an hour and ask again.
problem-phone-invalid = This is no phone number
problem-phone-invalid-detail = Write it with its country's code, as in +390612345678.
problem-phone-not-set = No text message leaves here
problem-phone-not-set-detail = Use a mail address: nothing sends text messages here yet.
problem-contact-taken = The contact is in use
problem-contact-taken-detail = There is a wallet with this contact: sign in to it, or recover it.
problem-code-refused = The code was not accepted
problem-code-refused-detail = Look at the last one that came. After five wrong ones, or ten minutes, begin again.
problem-entry-refused = You were not let in
problem-entry-refused-detail = Begin again, with a passkey that you registered here. After five failures wait for a quarter of an hour.
problem-device-key-taken = The device's key cannot be bound
problem-device-key-taken-detail = Make a new key for this device and begin again: a key is one device, for good.
problem-sign-ins-too-many = Too many sign-ins were begun
problem-sign-ins-too-many-detail = Wait a minute and begin again.
problem-passkey-needed = Show your passkey again
problem-passkey-needed-detail = This needs a sign-in with a passkey of at most five minutes ago: sign in again.
problem-proof-needed = The device must prove itself
problem-proof-needed-detail = This session is bound to a device: send its proof over this request, with the access token, in the DPoP header.
problem-cooling-off = Not for a day after a recovery
problem-cooling-off-detail = For a day after a recovery a device that came with it or after it ends nothing that was there before: use an older device, or wait.
problem-own-device-needed = This needs a registered device
problem-own-device-needed-detail = You came in with a passkey that may be in a cloud, where no registered device of yours showed itself: do this on one, or recover the wallet here, which registers this one.
problem-erasure-too-soon = Not for a day after a recovery or a new device
problem-erasure-too-soon-detail = For a day after a recovery or a new device this is not done, because it cannot be undone: wait until the time named.
problem-last-passkey = This is the last passkey
problem-last-passkey-detail = Add another one first: without any, nobody could sign in.
problem-last-contact = This is the last contact
problem-last-contact-detail = Add another one first: without any, nobody could recover the wallet.
problem-passkey-not-registered = The passkey was not registered
problem-passkey-not-registered-detail = Begin again and make it on a device that checks who you are, by a PIN, finger or face.

mail-code-subject = Your code for { $name }
mail-code-body =
    This is your code for { $name }:

    { $code }

    It can be used once, within { $minutes } minutes. We never ask for it by phone or in a message.

    If you did not ask for it, you need not do anything: without it nothing happens.

mail-wallet-there-subject = You have a wallet at { $name }
mail-wallet-there-body =
    Somebody, perhaps you, asked for a wallet at { $name } with this address. You have one already.

    Sign in with your passkey. If you have lost it, choose to recover your wallet.

    If you did not ask, you need not do anything: nothing has changed.

mail-recovery-code-subject = Your code to recover your wallet at { $name }
mail-recovery-code-body =
    This is your code to recover your wallet at { $name }:

    { $code }

    It can be used once, within { $minutes } minutes. Whoever has it can register a new passkey: we never ask for it by phone or in a message.

    If you did not ask for it, you need not do anything: without it nothing happens.

mail-no-wallet-subject = There is no wallet at { $name } with this address
mail-no-wallet-body =
    Somebody, perhaps you, wanted to recover a wallet at { $name } with this address. There is none.

    If you have one, it is with another address of yours.

    If you did not ask, you need not do anything.

mail-notice-passkey-added-subject = A passkey was added to your wallet at { $name }
mail-notice-passkey-added-body =
    A passkey was added to your wallet at { $name }: { $at }.

    If it was you, you need not do anything. If not, sign in with a passkey of yours and look at your devices and passkeys: what is not yours can be ended there.

mail-notice-passkey-revoked-subject = A passkey of your wallet at { $name } was ended
mail-notice-passkey-revoked-body =
    A passkey of your wallet at { $name } was ended: { $at }.

    If it was you, you need not do anything. If not, sign in with a passkey of yours and look at your devices and passkeys: what is not yours can be ended there.

mail-notice-device-bound-subject = A new device at your wallet at { $name }
mail-notice-device-bound-body =
    A device signed in to your wallet at { $name } for the first time: { $at }. For a day only small amounts can be paid.

    If it was you, you need not do anything. If not, sign in with a passkey of yours and look at your devices and passkeys: what is not yours can be ended there.

mail-notice-device-revoked-subject = A device of your wallet at { $name } was revoked
mail-notice-device-revoked-body =
    A device of your wallet at { $name } was revoked, and its sessions ended: { $at }.

    If it was you, you need not do anything. If not, sign in with a passkey of yours and look at your devices and passkeys: what is not yours can be ended there.

mail-notice-recovery-begun-subject = Somebody is recovering your wallet at { $name }
mail-notice-recovery-begun-body =
    Somebody who reads the mail of an address of yours is recovering your wallet at { $name }: { $at }.

    If it was you, you need not do anything. If not, sign in with a passkey of yours and look at your devices and passkeys: what is not yours can be ended there.

mail-notice-recovery-done-subject = Your wallet at { $name } was recovered
mail-notice-recovery-done-body =
    A new passkey was registered for your wallet at { $name } with a code that came by mail, and all sessions ended: { $at }. For a day only small amounts can be paid, and your older passkeys still open the wallet.

    If it was you, you need not do anything. If not, sign in with a passkey of yours and look at your devices and passkeys: what is not yours can be ended there.

mail-notice-contact-added-subject = A contact was added to your wallet at { $name }
mail-notice-contact-added-body =
    A contact was added to your wallet at { $name }: { $at }.

    If it was you, you need not do anything. If not, sign in with a passkey of yours and look at your devices and passkeys: what is not yours can be ended there.

mail-notice-contact-ended-subject = A contact was taken from your wallet at { $name }
mail-notice-contact-ended-body =
    A contact was taken from your wallet at { $name }: { $at }.

    If it was you, you need not do anything. If not, sign in with a passkey of yours and look at your devices and passkeys: what is not yours can be ended there.

mail-notice-erased-subject = Your wallet at { $name } was erased
mail-notice-erased-body =
    What we know of you at { $name } is being erased for good, and your wallet is closed: { $at }. It cannot be undone. What the law makes us keep stays, without your name.

    If you asked for it, you need not do anything. If not, write to { $name } at once, and change the password of this mailbox: this is the last letter that we can send you.

mail-notice-approvals-blocked-subject = Payments of your wallet at { $name } are blocked for now
mail-notice-approvals-blocked-body =
    Five approvals of payments failed in a row at your wallet at { $name }: { $at }. None can be approved until { $until }.

    If it was you, you need not do anything. If not, sign in with a passkey of yours and look at your devices and passkeys: what is not yours can be ended there.

mail-notice-approvals-last-subject = Payments of your wallet at { $name } are blocked for the last time
mail-notice-approvals-last-body =
    Five more approvals of payments failed in a row at your wallet at { $name }: { $at }. None can be approved until { $until }. If it happens once more they stay blocked until you have proved anew who you are, by a recovery of your wallet.

    If it was you, you need not do anything. If not, sign in with a passkey of yours and look at your devices and passkeys: what is not yours can be ended there.

mail-notice-approvals-barred-subject = Payments of your wallet at { $name } are blocked
mail-notice-approvals-barred-body =
    Too many approvals of payments failed at your wallet at { $name }: { $at }. None can be approved until you have proved anew who you are: recover your wallet, with a code that comes to this address and a new passkey. For a day after that only small amounts can be paid.

    If it was you, you need not do anything. If not, sign in with a passkey of yours and look at your devices and passkeys: what is not yours can be ended there.

## Problems of levels

problem-limits-in-the-past = The table begins in the past
problem-limits-in-the-past-detail = What was in force stays as it was: let the table begin now or later.
problem-limits-impossible = The limits cannot be
problem-limits-impossible-detail = A limit is 0 to 10^15 minor units; leave out what has none.
problem-sca-rule-unlawful = The law does not allow this rule
problem-sca-rule-unlawful-detail = Low value is 30 EUR at the most, and 100 EUR in all or five payments: one of the two counters.
problem-sca-rule-in-the-past = The rule begins in the past
problem-sca-rule-in-the-past-detail = What was in force stays as it was: let the rule begin now or later.
problem-sca-rule-taken = Another rule begins then
problem-sca-rule-taken-detail = Choose another moment; what was approved stays.
problem-limits-taken = Another table begins then
problem-limits-taken-detail = Choose another moment; what was published stays.
problem-limits-busy = The limits are being changed
problem-limits-busy-detail = Nothing happened: try again in a moment.
problem-person-unknown = There is no such person
problem-person-unknown-detail = The customer has not signed up, or the id is another's.
problem-limit-stored = The wallet would hold more than your level allows
problem-limit-stored-detail = Put in at most what is left, or raise your level: prove who you are. Then use a new Idempotency-Key.
problem-limit-payment = The payment is larger than your level allows
problem-limit-payment-detail = Pay at most that at once, or raise your level: prove who you are. Then use a new Idempotency-Key.
problem-limit-day = The day's payments would pass what your level allows
problem-limit-day-detail = Pay at most what is left, wait for tomorrow, or raise your level: prove who you are. Then use a new Idempotency-Key.
problem-limit-month = The month's payments would pass what your level allows
problem-limit-month-detail = Pay at most what is left, wait for the next month, or raise your level: prove who you are. Then use a new Idempotency-Key.

## Problems of consents

problem-purpose-unknown = Nothing is asked for this purpose
problem-purpose-unknown-detail = List what can be agreed to, and use one of its purposes.
problem-consent-text-changed = Another text is asked now
problem-consent-text-changed-detail = Show the text that is in force now, and send its version and hash.
problem-consent-text-invalid = The text cannot be kept
problem-consent-text-invalid-detail = A purpose is 1 to 40 of a-z, 0-9 and _; its text has 1 to 20000 bytes, in Italian and in English.

## Problems of privacy

problem-passkey-stale = Show your passkey again
problem-passkey-stale-detail = Sign in again with your passkey: this asks for one that was shown within five minutes.
problem-wallet-not-empty = There is money in the wallet
problem-wallet-not-empty-detail = Spend what is in it, or have it paid out, and let what is set aside end. Then ask again.

## Pages

page-skip = Skip to the content
page-nav = Your wallet
page-footer = We never ask for codes by phone, and never for a password: you have none here.
page-error = Error
page-when = { $day } { $month } { $year }, { $time }
page-month-1 = January
page-month-2 = February
page-month-3 = March
page-month-4 = April
page-month-5 = May
page-month-6 = June
page-month-7 = July
page-month-8 = August
page-month-9 = September
page-month-10 = October
page-month-11 = November
page-month-12 = December

page-through = On to your wallet
page-through-on = Continue
page-no-script = Passkeys need JavaScript. Switch it on for this page, or open it in another browser.
page-passkey-waiting = Your device asks for your passkey.
page-passkey-failed = No passkey was shown. Try again; if you have none on this device, use one from another.
page-passkey-unsupported = This browser knows no passkeys. Use a newer one.

page-home = Overview
page-home-title = Your wallet at { $tenant }
page-home-lead = Everything that is yours, in one place.
page-sign-out = Sign out

page-sign-in = Sign in
page-sign-in-title = Sign in to { $tenant }
page-sign-in-lead = With your passkey: your fingerprint, your face, or this device's PIN. There is no password.
page-sign-in-button = Sign in with a passkey
page-sign-in-out = You are signed out.
page-sign-in-removed = The device was removed, and you are signed out.
page-sign-in-refused = You are not signed in
page-sign-in-refused-detail = Try again with a passkey of this wallet. After five failures, wait a quarter of an hour.
page-sign-in-renew = The device was removed
page-sign-in-renew-detail = Whoever removed it wanted it to be known no more. Sign in once more: it then counts as a new device.

page-step = Step { $step } of { $of }
page-sign-up = Open a wallet
page-sign-up-title = Open your wallet at { $tenant }
page-sign-up-lead = You need a mail address, and a device that knows you by fingerprint, face or PIN. There is no password.
page-sign-up-email = Mail address
page-sign-up-button = Send me a code
page-sign-up-there = Have one already?
page-sign-up-not = That did not work
page-sign-up-wrong-email = Write the address as name@example.org.
page-sign-up-too-many = Too many codes were asked for. Look for the last one that came, or wait an hour.
page-sign-up-refused = The passkey was not accepted, and the code is used up. Begin again.
page-sign-up-taken = There is a wallet with this address. Sign in instead.
page-sign-up-code-title = Look at your mail
page-sign-up-code-lead = If the address is right, a code of eight digits is there. It is good for ten minutes, once.
page-sign-up-code = Code
page-sign-up-code-hint = Eight digits; spaces do not matter.
page-sign-up-wrong-code = This is not the code. Look at the last one that came; after five wrong ones, ask for another.
page-sign-up-code-button = Continue
page-sign-up-code-none = No mail? Ask for another code
page-sign-up-passkey-title = Make a passkey
page-sign-up-passkey-lead = It takes the place of a password: your device keeps it, and asks for your fingerprint, face or PIN.
page-sign-up-passkey-name = Name of this passkey
page-sign-up-passkey-hint = So that you know it again in your list.
page-sign-up-passkey-button = Make the passkey
page-passkey-not-made = No passkey was made. Try again, or use another device.
page-sign-in-new = New here?
page-sign-in-lost = Lost every passkey?

page-recovery = Recover your wallet
page-recovery-title = Recover your wallet at { $tenant }
page-recovery-lead = With a code to one of your mail addresses, and a new passkey.
page-recovery-caution = All of your addresses are told of it, and everybody is signed out. For a day after it, no more than { $most } can be paid in all, and nothing older can be removed by a new device.
page-recovery-there = Have a passkey after all?
page-recovery-passkey-title = Make a new passkey
page-recovery-passkey-lead = Everybody is signed out then, and for a day no more than { $most } can be paid. Older passkeys stay: remove the lost ones tomorrow.

page-devices = Devices and passkeys
page-devices-about = Where you are signed in, and what with. Remove what is not yours.
page-devices-list = Devices
page-devices-lead = Is there one you do not know? Remove it, and then the passkey it came in with.
page-devices-others = Sign out everywhere else
page-devices-done-removed = It was removed.
page-devices-done-renamed = It has its new name.
page-devices-done-others = You are signed out everywhere else.
page-devices-done-added = The passkey was added.
page-devices-done-recovered = Your wallet is yours again. For a day no more than { $most } can be paid, and from here nothing older can be removed.
page-device-unnamed = Browser
page-device-this = this device
page-device-seen = Last used
page-device-since = Since
page-device-by-sign-up = when you signed up
page-device-by-older-device = after a passkey of yours
page-device-by-recovery = after a recovery
page-device-state = Now
page-device-in = { $count ->
    [one] signed in
   *[other] signed in { $count } times
}
page-device-out = signed out
page-device-remove = Remove
page-device-remove-what = It is signed out at once, on all of our computers within a second.
page-device-remove-this = It is the one you are using: you will have to sign in again.
page-device-remove-button = Remove this device
page-passkeys = Passkeys
page-passkeys-lead = Whoever has one of them can sign in as you.
page-passkey-used = Last used
page-passkey-never = not yet
page-passkey-where = Where
page-passkey-synced = may be on several of your devices
page-passkey-bound = on one device only
page-passkey-name = Name
page-passkey-rename = Rename
page-passkey-rename-button = Save the name
page-passkey-remove = Remove
page-passkey-remove-what = Nobody can sign in with it again. It stays listed on your device until you delete it there too.
page-passkey-remove-button = Remove this passkey
page-passkey-last = This is your last passkey
page-passkey-last-detail = Without it you could not sign in. Nothing was changed.
page-passkey-add = Add a passkey
page-passkey-add-lead = On this device or on another one: if you lose one, you come in with the other.
page-passkey-add-not = Do not add one
page-passkey-not-added = No passkey was added
page-passkey-not-added-detail = What the device answered was not accepted, or it took too long. Try again.

page-contacts = Contacts
page-contacts-about = Where we write to you when something happens, and by which you come back in.
page-contacts-lead = Each of them is told when something changes, and each gets you back in if you lose your passkeys.
page-contacts-added = The contact was added.
page-contacts-removed = The contact was removed. It is told so once more.
page-contact-since = Confirmed
page-contact-only = The last one stays: without it you could not recover your wallet.
page-contact-remove = Remove
page-contact-remove-what = We write there once more, to say so, and then never again.
page-contact-remove-button = Remove this contact
page-contact-add = Add a contact
page-contact-add-lead = We send a code there. The others are told.
page-contact-code-lead = A code of eight digits is at the new address. It is good for ten minutes, once.
page-contact-code-button = Add the contact
page-contact-taken = This address cannot be added
page-contact-taken-detail = There is a wallet with it. Nothing was changed.
page-contact-last = This is your last contact
page-contact-last-detail = Without it you could not recover your wallet. Nothing was changed.

page-payments = Payments
page-payments-about = What you paid here with a passkey, newest first.
page-payments-none = Nothing so far.
page-pay = Pay
page-pay-title = To be paid
page-pay-to = to { $payee }
page-pay-reference = Order
page-pay-on = Continue
page-pay-not = Do not pay
page-pay-from = From
page-pay-wallet = your wallet at { $tenant }
page-pay-earns = You earn
page-pay-earns-nothing = nothing this time
page-pay-until = Approve by
page-approve = Approve the payment
page-approve-title = Approve this payment
page-approve-button = Pay { $amount } with a passkey
page-approve-failed = No passkey was shown, and nothing was paid. Try again, or do not pay.
page-pay-refused = The payment was not approved
page-pay-refused-detail = The passkey was not accepted, or it took too long. After five failures in a row, approvals are blocked for a while.
page-pay-device-detail = This passkey may be on several devices, and then the payment needs a device that is registered as yours. This browser is none: use the one you opened the wallet in.
page-pay-nothing = Nothing was paid
page-pay-again = Look at it again
page-paid-paid = Paid
page-paid-paid-detail = It is in the books, and it cannot be paid twice.
page-paid-waiting = Waiting for you
page-paid-waiting-detail = Nobody has approved it yet: go back to the page it was asked on.
page-paid-expired = Expired
page-paid-expired-detail = Nobody approved it in time. Nothing was paid.
page-paid-agreed = Approved
page-paid-agreed-detail = It is being paid: load the page again in a moment.
page-paid-refused = Not paid
page-paid-refused-detail = You approved it, and it could not be done. Nothing was paid.
page-paid-lapsed = Not paid
page-paid-lapsed-detail = You approved it, and it was not done in time. Nothing was paid, and nothing will be.
page-paid-at = Asked on
page-paid-seq = In the books
page-paid-id = Payment
page-problem-merchant-unknown = There is no such shop
page-problem-merchant-unknown-detail = Nothing was paid. Ask the shop for another link.
page-problem-amount-invalid = This amount cannot be paid
page-problem-amount-invalid-detail = Nothing was paid. Ask the shop for another link.
page-problem-approval-impossible = This payment cannot be shown safely
page-problem-approval-impossible-detail = Nothing was paid. Ask the shop to ask for it otherwise.
page-problem-caution = Not for a day
page-problem-caution-detail = Somebody came in by a new device or a recovery. Until a day after it, only little can be paid. Nothing was paid.
page-problem-cooling-off = Not for a day
page-problem-cooling-off-detail = For a day after a recovery a new device ends nothing that was there before. Use an older one, or wait.
page-problem-own-device-needed = This browser is not registered as yours
page-problem-own-device-needed-detail = Nothing was changed. Use a browser or phone that is, or recover the wallet here: that registers this one.
page-problem-proof-needed = This browser is not known here
page-problem-proof-needed-detail = It could not show that it is the device you came in with. Nothing was done. Sign in again, with JavaScript switched on.
page-problem-last-passkey = This is your last passkey
page-problem-last-passkey-detail = Without it you could not sign in. Nothing was changed.
page-problem-passkeys-not-set = There are no pages here
page-problem-passkeys-not-set-detail = Whoever runs this service has not said where its pages are.
page-problem-mail-not-set = No mail can be sent
page-problem-mail-not-set-detail = So nobody can sign up just now. Try again later.

page-consents = Consents
page-consents-about = What you agreed to, in which words. Take it back whenever you like.
page-consents-lead = What { $tenant } asks of you. Nothing is agreed to unless you say so, and nothing else depends on it.
page-consents-none = Nothing is asked of you.
page-consents-given = It is noted that you agree.
page-consents-taken = It is noted that you agree no more.
page-consents-changed = The text has changed
page-consents-changed-detail = Read it as it is now. Nothing was noted.
page-consent-given = You agree
page-consent-not = You do not agree
page-consent-since = since
page-consent-another = You agreed to an earlier text; this is the one in force now.
page-consent-give = Agree
page-consent-take = Take it back
page-act-customer-looked-at = The company's staff looked at your data
page-act-glass-broken = Your data was opened in an emergency
page-act-consent-granted = Consent given
page-act-consent-withdrawn = Consent taken back
page-act-person-level-changed = Level of identity changed
page-act-approval-of-another = A payment was not the one that was approved
page-act-approvals-blocked = Approvals blocked after failures
page-act-person-exported = Copy of your data taken out
page-act-person-erased = Wallet erased
page-act-four-eyes-asked = The company's staff asked for something that a second person decides
page-act-four-eyes-confirmed = A second person of the staff approved it
page-act-four-eyes-rejected = A second person of the staff refused it

page-looks = Who looked
page-looks-about = Who looked at your data or changed it, and when.
page-looks-lead = What our log has of your data at { $tenant }: who did what with it, and when, newest first.
page-looks-none = Nobody has so far.
page-looks-older = Older
page-look-refused = refused
page-look-at-card = Your card: what you paid, when last, what you hold
page-look-at-balances = Your balances
page-look-at-statement = Your movements
page-look-at-payment = A payment of yours
page-look-at-explanation = Why a payment of yours was as it was
page-look-at-account = Your account in the books
page-look-at-refund = A payment of yours, to pay it back
page-look-at-capture = A payment of yours that was set aside, to collect it
page-look-at-void = A payment of yours that was set aside, to release it
page-look-emergency = In an emergency.
page-role-shop-staff = shop staff
page-role-biller = billing
page-role-merchant = merchant
page-role-marketing = marketing
page-role-finance = accounting
page-role-bank = bank
page-role-developer = development
page-role-admin = administration
page-look-by-me = You
page-look-by-client = A system of { $tenant }
page-look-by-person = Another customer
page-look-by-staff = Somebody who works for { $tenant }
page-look-by-operator = Whoever runs the service
page-look-by-system = The service itself
page-look-by-other = Somebody else
page-act-other = Something was done with your data
page-act-person-signed-up = Wallet opened
page-act-person-signed-in = Signed in
page-act-recovery-begun = Recovery begun
page-act-recovery-done = Wallet recovered with a new passkey
page-act-device-bound = Device added
page-act-device-revoked = Device removed
page-act-passkey-added = Passkey added
page-act-passkey-revoked = Passkey removed
page-act-contact-added = Contact added
page-act-contact-ended = Contact removed

page-day-0 = Mon
page-day-1 = Tue
page-day-2 = Wed
page-day-3 = Thu
page-day-4 = Fri
page-day-5 = Sat
page-day-6 = Sun

page-staff-nav = Your work
page-staff-footer = We never ask for your passkey, your password or an invitation by phone or by mail.
page-staff-through = On to your work
page-staff-home = Overview
page-staff-home-title = Your work at { $tenant }
page-staff-sign-in-title = Staff of { $tenant }: sign in
page-staff-sign-in-lead = For who works here. Customers have their own sign-in, at their wallet.
page-staff-sign-in-away = Your passkey is not at hand?
page-staff-sign-in-new = You were invited?
page-staff-by-password = Sign in by your password
page-staff-by-password-lead = Accounting and administration are not in force then, and the session is short. After five wrong tries, wait a quarter of an hour.
page-staff-by-password-button = Sign in
page-staff-by-passkey = Sign in with a passkey
page-staff-email = Mail address
page-staff-password-one = Password
page-staff-invitation = Use an invitation
page-staff-invitation-title = Your invitation to work for { $tenant }
page-staff-invitation-lead = With it you make the passkey that you sign in with from then on.
page-staff-invitation-one = Invitation
page-staff-invitation-hint = It begins with tsi_, and is good for a day, once.
page-staff-invitation-button = Continue
page-staff-invitation-there = Have your passkey already?
page-staff-passkey-lead = Your device keeps it, and asks for your fingerprint, face or PIN. Passkeys, a password and sessions you had before end with it.
page-staff-passkey-hint = So that you know which device has it.
page-staff-password = Password
page-staff-password-lead = For a day when your passkey is not at hand. What opens with it is less: no accounting, no administration, no emergency.
page-staff-password-choose = Choose a password
page-staff-password-change = Change your password
page-staff-password-new = New password
page-staff-password-hint = At least fifteen characters; a few words in a row will do. Your passkey must have been shown within five minutes.
page-staff-password-button = Keep this password
page-staff-password-end = End your password
page-staff-password-end-what = Nobody signs in by it any more, and who did is signed out.
page-staff-password-end-button = End it
page-staff-password-set = Your password is kept. What the one before it opened has ended.
page-staff-password-ended = You have no password any more.
page-staff-me = Who you are here
page-staff-me-what = A role counts at its hours, by the clocks of the company; accounting and administration only with a passkey.
page-staff-name = Name
page-staff-role = Role
page-staff-any-hour = at any hour
page-staff-not-in-force = not in force now
page-staff-waits = Waiting for a second pair of eyes
page-staff-waits-nothing = Nothing waits.
page-staff-waits-not-yours = None of your roles that are in force decides what others asked for.
page-staff-act-refund = Refund of { $amount }
page-staff-act-limits = New table of limits
page-staff-act-erasure = Forgetting a customer
page-staff-act-sca-rule = New rule of strong authentication
page-staff-asked-rule-rts-16 = Small payments without approval
page-staff-asked-rule-synced-passkey = A passkey that may be on several devices alone
page-staff-rule-most = up to { $most } each
page-staff-rule-total = up to { $most } in all since the last approval
page-staff-rule-uses = at most { $uses } since the last approval
page-staff-act-correction = Correction of the books
page-staff-reason-error = wrongly posted
page-staff-reason-dispute = a dispute that was won
page-staff-reason-goodwill = a gift
page-staff-reason-fraud = fraud
page-staff-reason-migration = brought over from other books
page-staff-reason-other = other
page-staff-asked-reason = Reason
page-staff-asked-words = In words
page-staff-asked-move = Moves
page-staff-moved = { $much } from { $from } to { $to }
page-staff-moved-owing = { $much } from { $from }, which may be left in debt, to { $to }
page-staff-why = Why you refuse
page-staff-asked-payment = Payment
page-staff-asked-person = Customer
page-staff-asked-from = Counts from
page-staff-asked-at-once = the approval on
page-staff-asked-levels = Levels
page-staff-asked-law = as the law has them
page-staff-limit-stored = in the wallet { $most }
page-staff-limit-payment = a payment { $most }
page-staff-limit-day = a day { $most }
page-staff-limit-month = a month { $most }
page-staff-limit-none = without limit
page-staff-asked-by = Asked by
page-staff-asked-by-system = a system of the company, number { $number }
page-staff-asked-at = Asked on
page-staff-asked-until = Decide by
page-staff-letter = To the letter
page-staff-mine = You asked for this: somebody else decides it.
page-staff-approve = Approve
page-staff-approve-what = It is done at once, as it was asked, and cannot be taken back.
page-staff-reject = Refuse
page-staff-reject-what = It is not done. Whoever asked may ask again.
page-staff-done-approved = Approved, and done.
page-staff-done-rejected = Refused: it is not done.

page-problem-refused = This cannot be done
page-problem-refused-detail = You may not do this, or not from here.
page-problem-origin-refused = This does not come from our pages
page-problem-origin-refused-detail = Nothing was done. Open the page yourself, and send it from there.
page-problem-not-found = There is nothing here
page-problem-not-found-detail = Check the address. What was here may have been removed.
page-problem-too-many = Too much at once
page-problem-too-many-detail = Nothing was done. Wait a minute, then try again.
page-problem-unreadable = This cannot be read
page-problem-unreadable-detail = Nothing was done. Go back, load the page again, and try once more.
page-problem-busy = It takes a moment
page-problem-busy-detail = We have too much to do just now. Wait a moment, then load the page again.
page-problem-broken = Something went wrong on our side
page-problem-broken-detail = It is not your fault. Try again in a while.
problem-origin-refused = This does not come from one of our pages
problem-origin-refused-detail = Go to the page itself, load it again and send it from there.
problem-form-unreadable = What was sent cannot be read
problem-form-unreadable-detail = Go back to the page, load it again and send it once more.

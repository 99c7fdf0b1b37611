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
problem-request-for-eyes-over-detail = It was confirmed before, or nobody did in time: ask again.
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
problem-linked-not-done-detail = Item { $item } of it stands in its way: correct that one, or send this one without it.
problem-batch-refused = The batch was not done
problem-batch-refused-detail = Nothing of it happened but a refusal: see errors for the item and the reason.
problem-id-repeated = Two items have the same id
problem-id-repeated-detail = Give each item an id of its own: it is its Idempotency-Key.
problem-streams-full = Too many follow already
problem-streams-full-detail = Come back later, or ask without waiting.
problem-same-eyes = Who proposed it may not decide it
problem-same-eyes-detail = Four eyes: have another client approve or reject it.
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
problem-mail-busy = Too much mail waits
problem-mail-busy-detail = Try again in a moment.
problem-mail-address-invalid = This is no mail address
problem-mail-address-invalid-detail = Write it as name@example.org.
problem-codes-too-many = Too many codes were asked for
problem-codes-too-many-detail = Look for one that was sent already, or wait an hour and ask again.

mail-code-subject = Your code for { $name }
mail-code-body =
    This is your code for { $name }:

    { $code }

    It can be used once, within { $minutes } minutes. We never ask for it by phone or in a message.

    If you did not ask for it, you need not do anything: without it nothing happens.

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

## Problems of the database

problem-database-busy = Too much at once
problem-database-busy-detail = Try again in a moment.
problem-database-slow = This took too long
problem-database-slow-detail = Repeat the request; if it changes something, with the same Idempotency-Key.
problem-database-unreachable = We cannot reach our books
problem-database-unreachable-detail = Repeat the request in a moment; if it changes something, with the same Idempotency-Key.

## Problems of keys and tenants

problem-unauthenticated = We do not know you
problem-unauthenticated-detail = Send a valid key: Authorization: Bearer tsk_...
problem-scope-missing = The key may not do this
problem-scope-missing-detail = It lacks the scope { $scope }: use a key that has it.
problem-slug-invalid = This cannot be a slug
problem-slug-invalid-detail = Use 1 to 63 of a-z, 0-9 and, inside, -.
problem-slug-taken = The slug is taken
problem-slug-taken-detail = Choose another.
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

## Problems of hooks

problem-endpoint-refused = Hooks may not go there
problem-endpoint-refused-detail = See errors for the reason, and register another address.
problem-endpoints-too-many = There are too many endpoints
problem-endpoints-too-many-detail = There may be { $most } at most: disable one first.

## Mistakes in a field

field-missing = This field is required.
field-unknown = This field does not exist here.

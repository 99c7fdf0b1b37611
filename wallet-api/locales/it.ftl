# Le parole dell'API in italiano. en.ftl ha gli stessi nomi: lo controlla un test.

## Problemi comuni

problem-internal = Qualcosa è andato storto da noi
problem-internal-detail = Riprova; se continua, comunicaci l'x-request-id.
problem-not-found = Qui non c'è nulla
problem-not-found-detail = Controlla l'indirizzo e l'identificativo che contiene.
problem-method-not-allowed = Qui non si può fare
problem-method-not-allowed-detail = Confronta il metodo con la documentazione.
problem-request-malformed = La richiesta non è leggibile
problem-request-malformed-detail = Confronta percorso, parametri e intestazioni con la documentazione.
problem-headers-too-large = Le intestazioni sono troppo grandi
problem-headers-too-large-detail = Inviane di meno o di più corte.
problem-deadline = Ci è voluto troppo tempo
problem-deadline-detail = Ripeti la richiesta; se modifica qualcosa, con la stessa Idempotency-Key.
problem-media-type-unsupported = Non leggiamo questo tipo di contenuto
problem-media-type-unsupported-detail = Invia JSON, con Content-Type: application/json.
problem-body-too-large = Il contenuto è troppo grande
problem-body-too-large-detail = Invia al massimo { $limit_bytes } byte.
problem-body-malformed = Il contenuto non è JSON leggibile
problem-body-malformed-detail = Correggilo: { $reason }
problem-body-invalid = Il contenuto non è quello richiesto
problem-body-invalid-detail = In errors trovi il punto e l'errore.
problem-idempotency-key-missing = Manca l'Idempotency-Key
problem-idempotency-key-missing-detail = Invia un'intestazione Idempotency-Key, un nuovo UUID per ogni intenzione, e ripetila quando riprovi.
problem-idempotency-key-invalid = L'Idempotency-Key non è valida
problem-idempotency-key-invalid-detail = Invia una sola intestazione Idempotency-Key da 1 a 255 caratteri ASCII visibili, meglio un UUID.
problem-cursor-invalid = Il cursore non è di questo elenco
problem-cursor-invalid-detail = Usa next_cursor della pagina precedente, così com'è, oppure toglilo per ricominciare.
problem-limit-invalid = Le pagine hanno un'altra dimensione
problem-limit-invalid-detail = Chiedine da 1 a { $most } alla volta.

## Problemi della base dati

problem-database-busy = Troppe richieste insieme
problem-database-busy-detail = Riprova tra un momento.
problem-database-slow = Ci è voluto troppo tempo
problem-database-slow-detail = Ripeti la richiesta; se modifica qualcosa, con la stessa Idempotency-Key.
problem-database-unreachable = Non riusciamo a raggiungere i nostri libri
problem-database-unreachable-detail = Ripeti la richiesta tra un momento; se modifica qualcosa, con la stessa Idempotency-Key.

## Problemi di chiavi e aziende

problem-unauthenticated = Non sappiamo chi sei
problem-unauthenticated-detail = Invia una chiave valida: Authorization: Bearer tsk_...
problem-scope-missing = La chiave non consente questa operazione
problem-scope-missing-detail = Le manca il permesso { $scope }: usa una chiave che lo abbia.
problem-slug-invalid = Questo non può essere uno slug
problem-slug-invalid-detail = Usa da 1 a 63 caratteri tra a-z, 0-9 e, all'interno, -.
problem-slug-taken = Lo slug è già in uso
problem-slug-taken-detail = Scegline un altro.
problem-name-missing = Manca il nome
problem-name-missing-detail = Indicane uno.
problem-scopes-missing = La chiave non potrebbe fare nulla
problem-scopes-missing-detail = Indica almeno un permesso.
problem-tenant-unknown = Questa azienda non esiste
problem-tenant-unknown-detail = Controlla il suo slug.
problem-client-unknown = Questo client non esiste
problem-client-unknown-detail = Non indicarlo per crearne uno nuovo.
problem-key-unknown = Questa chiave non esiste
problem-key-unknown-detail = Controlla il suo prefisso.

## Problemi degli hook

problem-endpoint-refused = Gli hook non possono andare lì
problem-endpoint-refused-detail = Vedi errors per il motivo e registra un altro indirizzo.
problem-endpoints-too-many = Ci sono troppi endpoint
problem-endpoints-too-many-detail = Possono essere al massimo { $most }: prima disattivane uno.

## Errori in un campo

field-missing = Questo campo è obbligatorio.
field-unknown = Questo campo qui non esiste.

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
problem-rate-limited = Troppe richieste
problem-rate-limited-detail = Inviane meno per volta: Retry-After dice quando c'è di nuovo posto. Non è successo nulla, la chiave resta libera.
problem-overloaded = Troppe richieste insieme
problem-overloaded-detail = Riprova tra poco, ogni volta un po' più tardi. Non è successo nulla, la chiave resta libera.

## Problemi della base dati

problem-database-busy = Troppe richieste insieme
problem-database-busy-detail = Riprova tra un momento.
problem-database-slow = Ci è voluto troppo tempo
problem-database-slow-detail = Ripeti la richiesta; se modifica qualcosa, con la stessa Idempotency-Key.
problem-database-unreachable = Non riusciamo a raggiungere i nostri libri
problem-database-unreachable-detail = Ripeti la richiesta tra un momento; se modifica qualcosa, con la stessa Idempotency-Key.

## Problemi di chiavi e aziende

problem-people-only = È riservato alle persone
problem-people-only-detail = Accedi come la persona a cui appartiene.
problem-sign-in-again = Sei stato via troppo a lungo
problem-sign-in-again-detail = Accedi di nuovo con la tua passkey: sono passati cinque minuti senza richieste.
problem-scope-of-people = Nessuna chiave può avere questo ambito
problem-scope-of-people-detail = Omettilo: le persone accedono di persona.
problem-use-dpop-nonce = La prova non contiene il nostro nonce
problem-use-dpop-nonce-detail = Rifai la prova con il nonce dell'intestazione DPoP-Nonce.
problem-session-over = La sessione è terminata
problem-session-over-detail = Accedi di nuovo.
problem-unauthenticated = Non sappiamo chi sei
problem-unauthenticated-detail = Invia una chiave valida: Authorization: Bearer tsk_...
problem-scope-missing = La chiave non consente questa operazione
problem-scope-missing-detail = Le manca il permesso { $scope }: usa una chiave che lo abbia.
problem-slug-invalid = Questo non può essere uno slug
problem-slug-invalid-detail = Usa da 1 a 63 caratteri tra a-z, 0-9 e, all'interno, -.
problem-slug-taken = Lo slug è già in uso
problem-slug-taken-detail = Scegline un altro.
problem-number-taken = Il numero o lo slug è già in uso
problem-number-taken-detail = Usa un database senza quel tenant.
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

## Operatori

problem-operators-only = È riservato agli operatori
problem-operators-only-detail = Accedi come qualcuno che lavora per l'azienda.
problem-role-missing = I tuoi ruoli non lo consentono
problem-role-missing-detail = Serve un ruolo con { $scope }, a quest'ora e per questo: chiedi a un amministratore.
problem-operator-refused = Accesso non riuscito
problem-operator-refused-detail = Ricomincia con la tua passkey, o chiedi un nuovo invito.
problem-operator-unknown = Questo operatore non esiste
problem-operator-unknown-detail = Controlla l'id o l'indirizzo.
problem-role-invalid = Questo ruolo non si può dare o togliere così
problem-role-invalid-detail = Personale di negozio, fatturatori ed esercenti sono sempre di un solo esercente, gli altri mai.
problem-request-for-eyes-unknown = Nessuno l'ha chiesto
problem-request-for-eyes-unknown-detail = Prima si chiede, poi si conferma.
problem-request-for-eyes-over = Non c'è più nulla da confermare
problem-request-for-eyes-over-detail = È già stato deciso, o nessuno l'ha fatto in tempo: chiedilo di nuovo.
problem-request-for-eyes-changed = Non è quello che era stato chiesto
problem-request-for-eyes-changed-detail = Qualcuno l'ha cambiato dopo la richiesta: guarda il registro e chiedilo di nuovo.
problem-request-for-eyes-orphaned = Chi l'ha chiesto non può più farlo
problem-request-for-eyes-orphaned-detail = Chi l'ha chiesto se n'è andato, o ha perso il diritto: fallo chiedere a chi può.
problem-passkeys-not-set = Questo nodo non conosce passkey
problem-passkeys-not-set-detail = Chi lo gestisce indica il dominio e le pagine delle sue passkey: --rp-id e --origin.

## Problemi dei libri

problem-key-reused = La chiave appartiene a un'altra richiesta
problem-key-reused-detail = Usa una nuova Idempotency-Key per una nuova richiesta.
problem-too-many-refusals = Troppi rifiuti
problem-too-many-refusals-detail = Guarda perché gli ultimi sono stati rifiutati e riprova più tardi: non è successo nulla.
problem-queue-full = Troppe richieste insieme
problem-queue-full-detail = Non è successo nulla: riprova tra un momento.
problem-not-done = Non abbiamo fatto in tempo
problem-not-done-detail = Non è successo nulla: riprova.
problem-outcome-unknown = Non lo sappiamo ancora
problem-outcome-unknown-detail = Ripeti con la stessa Idempotency-Key: avrai l'unica risposta vera.
problem-books-unavailable = Non riusciamo a raggiungere i nostri libri
problem-books-unavailable-detail = Non è successo nulla: riprova.
problem-books-no-room = I libri stanno voltando pagina
problem-books-no-room-detail = Non è successo nulla: riprova tra un momento.
problem-books-broken = I libri sono chiusi
problem-books-broken-detail = I libri si contraddicono: non si registra nulla finché qualcuno non li ha controllati.
problem-request-abandoned = Questa richiesta è stata abbandonata
problem-request-abandoned-detail = È stata chiusa prima di essere eseguita, perciò non avverrà mai: usa una nuova Idempotency-Key.
problem-request-unknown = Nessuna richiesta ha usato questa chiave
problem-request-unknown-detail = Finora non è avvenuta. Per renderlo certo per sempre, chiudila con resolve.
problem-link-refused = Non è per te
problem-link-refused-detail = Qui rispondiamo solo ai nodi di questa installazione: controlla orologi e indirizzi.
problem-not-leader = Scrive un altro nodo
problem-not-leader-detail = Rivolgiti al nodo indicato in leader, oppure riprova tra un momento.
problem-vault-closed = Questo nodo non può leggere né scrivere ciò che è sigillato
problem-vault-closed-detail = Chi lo gestisce indica la cartella delle chiavi della cassaforte (TESSERA_VAULT_DIR) o le fornisce (TESSERA_VAULT_KEYS).
problem-vault-behind = Questo nodo non sa ancora con certezza chi deve aver dimenticato
problem-vault-behind-detail = Riprova tra un momento; se continua, chi gestisce il nodo ne legga il registro.
problem-person-forgotten = Questa persona è stata dimenticata
problem-person-forgotten-detail = Ciò che la riguardava di personale è stato distrutto e non può essere recuperato.
problem-no-leader = Ancora nessuno scrive
problem-no-leader-detail = Nessun nodo guida ancora il giornale; riprova tra un momento.
problem-not-yet = Questo nodo non è ancora arrivato fin lì
problem-not-yet-detail = Ripeti la richiesta tra un momento, oppure senza min_seq.
problem-archived = Questo è in archivio
problem-archived-detail = È stato spostato fuori dal database: chiedi al gestore di riportare i seq indicati, poi riprova.
problem-account-unknown = Questo conto non esiste
problem-account-unknown-detail = Chi è indicato non ha ancora un conto simile: controlla gli identificativi.
problem-account-frozen = Il conto è bloccato
problem-account-frozen-detail = Qualcuno lo ha bloccato: rivolgiti a chi lo ha fatto, poi usa una nuova Idempotency-Key.
problem-row-unsuitable = Quella riga non si può incassare, liberare o rimborsare così
problem-row-unsuitable-detail = Controlla seq e leg, e che entrambi i conti siano quelli di quella riga.
problem-dates-unsuitable = Le date qui non hanno senso
problem-dates-unsuitable-detail = Un lotto inizia prima di finire, un blocco finisce dopo adesso, e solo i conti che tengono lotti accettano date.
problem-rate-wrong = L'importo non segue dal suo cambio
problem-rate-wrong-detail = L'importo è l'altro per numeratore diviso denominatore, arrotondato per difetto.
problem-balance-too-large = Il saldo sarebbe troppo grande
problem-balance-too-large-detail = Nessun conto tiene più di 2^63 - 1 unità: usane un altro, con una nuova Idempotency-Key.
problem-still-due = È scaduto troppo in una volta
problem-still-due-detail = Non ne è successo nulla: riprova tra un momento, con la stessa Idempotency-Key.
problem-too-many-lots = Troppi lotti per una sola operazione
problem-too-many-lots-detail = Non è successo nulla. Chiedi di meno in una volta, con la stessa o con una nuova Idempotency-Key.
problem-account-closed = Il conto è chiuso
problem-account-closed-detail = Fallo riaprire, o usa un altro conto; poi usa una nuova Idempotency-Key.
problem-account-not-empty = Sul conto c'è ancora qualcosa
problem-account-not-empty-detail = Sposta quello che c'è e chiudi i blocchi; poi usa una nuova Idempotency-Key.
problem-hold-ended = Il blocco è finito
problem-hold-ended-detail = È stato incassato, liberato, o il suo tempo è passato: non resta nulla da spostare o restituire.
problem-hold-exceeded = Del blocco resta di meno
problem-hold-exceeded-detail = Incassa al massimo quello che resta, con una nuova Idempotency-Key.
problem-refund-exceeded = Resta meno da rimborsare
problem-refund-exceeded-detail = Rimborsa al massimo quello che non è stato rimborsato, con una nuova Idempotency-Key.
problem-account-nature-invalid = Il conto non può tenere questo
problem-account-nature-invalid-detail = La sua contropartita è aperta, semplice e della stessa unità; il minimo è zero; solo una quota ha un limite di periodo.
problem-nothing-due = Sul conto non c'è nulla di scaduto
problem-nothing-due-detail = Niente è scaduto e nessun periodo è finito, oppure è già scritto.
problem-refund-overtaken = Un altro rimborso di questo pagamento è arrivato prima
problem-refund-overtaken-detail = Guarda quanto resta da rimborsare e riprova con una nuova Idempotency-Key.
problem-already-cleared = Il pagamento è già regolato
problem-already-cleared-detail = Non c'è nulla da incassare o da liberare. Quel che è stato pagato si può rimborsare.
problem-nothing-captured = Non c'è nulla da rimborsare
problem-nothing-captured-detail = Non ne è stato incassato nulla: libera l'autorizzazione, e quel che è da parte torna disponibile.
problem-several-captures = È stato incassato più volte
problem-several-captures-detail = Indica l'incasso da rimborsare con il suo id: sono elencati in captures.
problem-amount-invalid = L'importo non si può spostare
problem-amount-invalid-detail = Gli importi sono unità minime intere da 1 a 10^15.
problem-date-invalid = La data non si può usare
problem-date-invalid-detail = Le date vanno dal 1970 al 9999.
problem-clock-fixed = L'orologio non si può spostare così
problem-clock-fixed-detail = Si sposta solo l'orologio di una sandbox, e solo in avanti.
problem-insufficient-funds = Il saldo disponibile non basta
problem-insufficient-funds-detail = Ricarica, oppure paga in un altro modo; poi usa una nuova Idempotency-Key.
problem-limit-exceeded = Si supererebbe un limite
problem-limit-exceeded-detail = Il conto non può contenere così tanto: usa un importo più piccolo e una nuova Idempotency-Key.
problem-already-done = È già stato fatto
problem-already-done-detail = È stato fatto prima, con un'altra Idempotency-Key.

## Problemi di clienti, esercenti e campagne

problem-customer-account-unknown = Il cliente non ha questo conto
problem-customer-account-unknown-detail = Usa available, cashback oppure points:<programma>.
problem-customer-unknown = Questo cliente non esiste
problem-customer-unknown-detail = Controlla l'identificativo del cliente.
problem-merchant-unknown = Questo esercente non esiste
problem-merchant-unknown-detail = Controlla l'identificativo dell'esercente.
problem-campaign-unknown = Questa campagna non esiste
problem-campaign-unknown-detail = Controlla l'identificativo della campagna.
problem-programme-unknown = Questo programma non esiste
problem-programme-unknown-detail = Controlla l'identificativo del programma.
problem-campaigns-too-many = Ci sono già troppe campagne
problem-campaigns-too-many-detail = Prima lasciane finire una: al massimo { $most } possono premiare lo stesso pagamento.
problem-rule-superseded = Qualcuno ha appena pubblicato una versione
problem-rule-superseded-detail = Rileggi la campagna e decidi se la tua serve ancora.

## Problemi degli hook

problem-endpoint-refused = Gli hook non possono andare lì
problem-endpoint-refused-detail = Vedi errors per il motivo e registra un altro indirizzo.
problem-endpoints-too-many = Ci sono troppi endpoint
problem-endpoints-too-many-detail = Possono essere al massimo { $most }: prima disattivane uno.
problem-endpoint-disabled = L'endpoint è disattivato
problem-endpoint-disabled-detail = Prima riattivalo, poi ripeti la richiesta.
problem-secrets-too-many = Ci sono troppi segreti in vigore
problem-secrets-too-many-detail = { $most } segreti sostituiti firmano ancora: aspetta che ne scada uno, o terminali tutti con overlap_s 0.
problem-replays-too-many = Ci sono troppe ripetizioni
problem-replays-too-many-detail = Per un endpoint possono essere in corso { $most }: aspetta che una finisca, o annullane una.
problem-body-too-slow = Il corpo ha impiegato troppo ad arrivare
problem-body-too-slow-detail = Invialo per intero entro { $within_s } secondi.
problem-payment-unreadable = Questo nodo non sa leggere il pagamento
problem-payment-unreadable-detail = L'ha registrato una versione più recente di quella di questo nodo: chiedi di nuovo quando i nodi saranno aggiornati.
problem-hook-loop = Sembra un ciclo di hook
problem-hook-loop-detail = Più di { $most } hook hanno portato a questa chiamata. Non rispondere a un hook con ciò che lo genera di nuovo.
problem-event-type-unknown = Non c'è un tipo di evento con questo nome
problem-event-type-unknown-detail = GET /v1/event-types li elenca tutti.

## Errori in un campo

field-missing = Questo campo è obbligatorio.
field-unknown = Questo campo qui non esiste.

## Perché un premio non è stato dato

reward-amount-too-small = Il pagamento è troppo piccolo per ottenere questo premio.
reward-budget-exhausted = Quel che resta del budget della campagna non copre questo premio.
reward-campaign-paused = La campagna è in pausa.
reward-not-possible = Il conto di destinazione non può accogliere questo premio.

## Un pagamento a parole

points = { $count ->
    [one] { $count } punto
   *[other] { $count } punti
}
explain-payment-wallet = { $amount } dal wallet a { $merchant }.
explain-payment-external = { $amount } a { $merchant }, pagati con una carta o un conto esterni al wallet.
explain-payment-released = { $amount } messi da parte sono tornati disponibili.
explain-rule-cashback = cashback del { $percent }%, arrotondato per difetto al centesimo
explain-rule-cashback-capped = cashback del { $percent }%, arrotondato per difetto al centesimo, al massimo { $cap } per pagamento
explain-rule-points = { $points ->
    [one] { $points } punto per ogni euro intero
   *[other] { $points } punti per ogni euro intero
}
explain-reward-given = Hai ottenuto { $amount } su { $paid }: { $rule }. A carico del budget di «{ $campaign }» (versione { $version } della regola).
explain-reward-too-small = Qui non hai ottenuto nulla: un pagamento di { $paid } è troppo piccolo per il premio previsto ({ $rule }; «{ $campaign }», versione { $version } della regola).
explain-reward-budget-exhausted = Non hai ottenuto { $amount } su { $paid } ({ $rule }): quel che resta del budget di «{ $campaign }» non basta (versione { $version } della regola). Il pagamento resta valido.
explain-reward-paused = Non hai ottenuto { $amount } su { $paid } ({ $rule }): «{ $campaign }» è in pausa (versione { $version } della regola). Il pagamento resta valido.
explain-reward-not-possible = Non hai ottenuto { $amount } su { $paid } ({ $rule }): il conto di destinazione non può accogliere altro («{ $campaign }», versione { $version } della regola). Il pagamento resta valido.

## La cornice del riferimento dell'API

reference-skip = Vai al contenuto
reference-language = Lingua
reference-contents = Indice
reference-document = Documento OpenAPI
reference-collection = Richieste da provare (.http)
reference-operations = Operazioni
reference-schemas = Schemi
reference-parameters = Parametri
reference-members = Campi
reference-answers = Risposte
reference-name = Nome
reference-where = Dove
reference-type = Tipo
reference-meaning = Significato
reference-status = Stato
reference-body = Corpo
reference-example = Esempio
reference-empty = nessun contenuto
reference-required = obbligatorio
reference-list-of = elenco di

## Prove del giornale

problem-record-unknown = Questa registrazione non esiste
problem-record-unknown-detail = Con questo seq non è mai stato registrato nulla: controllalo.
problem-head-unknown = Questa testa non esiste
problem-head-unknown-detail = Chiedi l'ultima, oppure una dimensione che è stata firmata.
problem-sizes-invalid = Nessun registro ha queste dimensioni
problem-sizes-invalid-detail = Chiedi da 1 a { $last }, la dimensione dell'ultima testa, e non all'indietro.
problem-accounts-invalid = Questi non sono conti
problem-accounts-invalid-detail = Indica al massimo { $most } identificativi di conti, separati da virgole.
problem-receipt-unavailable = Questo nodo non può aprire una ricevuta
problem-receipt-unavailable-detail = Gli manca il segreto che la apre; ce l'ha un altro nodo, o la copia di sicurezza del gestore.
## Problemi dei libri così come sono

problem-transfers-missing = Non c'è nulla da muovere
problem-transfers-missing-detail = Una transazione ha almeno un trasferimento.
problem-too-many = Troppo in una volta
problem-too-many-detail = Al massimo { $limit } { $what }: inviane meno alla volta.
problem-same-account = I due conti sono lo stesso
problem-same-account-detail = Un trasferimento va da un conto a un altro.
problem-asset-unknown = Questa unità non esiste
problem-asset-unknown-detail = Definiscila prima, o controlla il codice.
problem-asset-mismatch = Il conto tiene un'altra unità
problem-asset-mismatch-detail = Un trasferimento muove una sola unità, che entrambi i conti tengono.
problem-asset-exists = L'unità esiste già
problem-asset-exists-detail = Ha un'altra scala, che non cambia mai: usala così com'è, o scegli un altro codice.
problem-account-limits-invalid = I limiti non sono possibili
problem-account-limits-invalid-detail = Un conto si apre a zero: il minimo non sta sopra, il massimo non sta sotto.
problem-account-exists = Il conto esiste già
problem-account-exists-detail = Usa il conto che c'è, o un altro id.
problem-linked-not-done = Il gruppo non è stato eseguito
problem-linked-not-done-detail = L'elemento { $item } non può essere eseguito, o non dopo quelli che lo precedono: correggilo, o lascialo fuori.
problem-batch-refused = Il gruppo non è stato eseguito
problem-batch-refused-detail = Non ne è avvenuto nulla: vedi errors per l'elemento e il motivo.
problem-id-repeated = Due elementi hanno lo stesso id
problem-id-repeated-detail = Dai a ogni elemento un id suo: è la sua Idempotency-Key.
problem-streams-full = Troppi stanno già seguendo
problem-streams-full-detail = Torna più tardi, o chiedi senza attendere.
problem-same-eyes = Chi l'ha proposta non può deciderla
problem-same-eyes-detail = Quattro occhi: falla approvare o respingere da qualcun altro.
problem-adjustment-expired = Il tempo della proposta è scaduto
problem-adjustment-expired-detail = Nessuno ha deciso in tempo: proponila di nuovo.
problem-adjustment-impossible = Non si può più registrare
problem-adjustment-impossible-detail = Per il motivo indicato non si è potuta registrare quando è stata approvata, e non lo sarà mai: proponine un'altra.
problem-adjustment-decided = È già stata decisa
problem-adjustment-decided-detail = È già stata decisa: guardala e, se serve, proponine un'altra.

## Passkey e conferme

problem-passkey-refused = La passkey non è stata accettata
problem-passkey-refused-detail = Ricomincia e usa una passkey che hai registrato qui.
problem-too-many-passkeys = Le passkey sono troppe
problem-too-many-passkeys-detail = Togline una che non usi.
problem-no-passkey = Non c'è una passkey con cui confermare
problem-no-passkey-detail = Prima registra una passkey.
problem-payment-lapsed = Il pagamento non è stato eseguito in tempo
problem-payment-lapsed-detail = Era approvato, non è stato registrato in tempo e non lo sarà mai: chiedilo di nuovo.
problem-caution = Per ora si può pagare solo poco
problem-caution-detail = C'è stato da poco un nuovo dispositivo o un recupero: paga meno, o attendi fino all'ora indicata.
problem-payment-not-posted = Il pagamento non è nei libri
problem-payment-not-posted-detail = La prova esiste di ciò che è stato pagato o rifiutato: prima approva il pagamento.
problem-approval-refused = Il pagamento non è stato confermato
problem-approval-refused-detail = Non è stato pagato nulla. Guarda il pagamento e confermalo di nuovo.
problem-approval-impossible = Questo pagamento non si può confermare
problem-approval-impossible-detail = Al pagatore non è stato chiesto nulla: guarda il motivo e prepara il pagamento diversamente.
problem-device-needed = Per questo pagamento serve un dispositivo registrato
problem-device-needed-detail = Confermalo su un dispositivo registrato come tuo.

## Prospetti

problem-value-terms = Con questi dati non c'è un valore
problem-value-terms-detail = Prezzi, unità e somme sono zero o più, e la merce o i punti hanno un prezzo.
problem-report-too-long = Il prospetto non entra in un foglio
problem-report-too-long-detail = Chiedi il CSV o un periodo più breve.
problem-day-not-over = La giornata non è finita
problem-day-not-over-detail = Si può chiudere da un minuto dopo la mezzanotte.
problem-day-open-before = Una giornata precedente è aperta
problem-day-open-before-detail = Chiudi prima { $day } e le giornate successive, oppure indica che si saltano.
problem-day-passed = Una giornata successiva è chiusa
problem-day-passed-detail = È stata saltata quando si è chiuso { $day }, che ne contiene i movimenti.
report-liability = Passività
report-roll-forward = Movimentazione
report-statement = Estratto conto
report-trial-balance = Bilancio di verifica
report-value = Valore
report-col-seq = seq
report-col-leg = riga
report-col-sort = tipo
report-col-asset = unità
report-col-earned = maturati nel
report-col-ends = scadono nel
report-col-campaign = campagna
report-col-units = quantità
report-col-cost-millionths = costo in milionesimi
report-col-opening = apertura
report-col-earned-units = maturati
report-col-restored = ripristinati
report-col-received = ricevuti
report-col-burned = spesi
report-col-expired = scaduti
report-col-clawed-back = stornati
report-col-sent = ceduti
report-col-offset = compensati
report-col-closing = chiusura
report-col-transaction = transazione
report-col-recorded = registrato il
report-col-effective = con effetto dal
report-col-other = altro conto
report-col-change = variazione
report-col-balance = saldo
report-col-accounts = conti
report-col-debits = dare
report-col-credits = avere
report-col-difference = differenza
report-col-issued = unità emesse
report-col-used = unità usate
report-col-expected = unità attese
report-col-points-price = prezzo dei punti
report-col-goods-share = quota dei beni
report-col-points-share = quota dei punti
report-col-recognised = ricavo riconosciuto
report-col-revenue = ricavo del periodo
report-col-liability = passività

## Posta e codici

problem-mail-not-set = Da qui non parte posta
problem-mail-not-set-detail = Serve la posta, e il gestore non ha impostato un server: --smtp-url e --mail-from.
problem-password-weak = La password è troppo debole
problem-password-weak-detail = Scegli almeno quindici caratteri: bastano alcune parole di seguito.
problem-password-too-long = La password è troppo lunga
problem-password-too-long-detail = Scegli al massimo 128 caratteri.
problem-mail-busy = Troppa posta in attesa
problem-mail-busy-detail = Riprova tra un momento.
problem-mail-address-invalid = Non è un indirizzo di posta
problem-mail-address-invalid-detail = Scrivilo come nome@example.org.
problem-codes-too-many = Troppi codici richiesti
problem-codes-too-many-detail = Cerca quello già inviato, oppure aspetta un'ora e chiedi di nuovo.
problem-phone-invalid = Non è un numero di telefono
problem-phone-invalid-detail = Scrivilo con il prefisso del paese, come in +390612345678.
problem-phone-not-set = Da qui non partono SMS
problem-phone-not-set-detail = Usa un indirizzo di posta: qui ancora nulla invia SMS.
problem-contact-taken = Il contatto è già in uso
problem-contact-taken-detail = Esiste un wallet con questo contatto: accedi, oppure recuperalo.
problem-code-refused = Il codice non è stato accettato
problem-code-refused-detail = Guarda l'ultimo che è arrivato. Dopo cinque errori, o dieci minuti, ricomincia.
problem-entry-refused = Accesso non riuscito
problem-entry-refused-detail = Ricomincia, con una passkey che hai registrato qui. Dopo cinque errori aspetta un quarto d'ora.
problem-device-key-taken = La chiave del dispositivo non si può associare
problem-device-key-taken-detail = Crea una chiave nuova per questo dispositivo e ricomincia: una chiave è un solo dispositivo, per sempre.
problem-sign-ins-too-many = Troppi accessi iniziati
problem-sign-ins-too-many-detail = Aspetta un minuto e ricomincia.
problem-passkey-needed = Mostra di nuovo la passkey
problem-passkey-needed-detail = Serve un accesso con passkey di al massimo cinque minuti fa: accedi di nuovo.
problem-proof-needed = Il dispositivo deve dare prova di sé
problem-proof-needed-detail = Questa sessione è legata a un dispositivo: invia la sua prova su questa richiesta, con il token d'accesso, nell'intestazione DPoP.
problem-cooling-off = Non per un giorno dopo un recupero
problem-cooling-off-detail = Per un giorno dopo un recupero un dispositivo arrivato con esso o dopo non toglie nulla di ciò che c'era prima: usa un dispositivo precedente, o aspetta.
problem-own-device-needed = Serve un dispositivo registrato
problem-own-device-needed-detail = Sei entrato con una passkey che può trovarsi in un cloud, dove nessun tuo dispositivo registrato si è mostrato: fallo su uno di quelli, oppure recupera il portafoglio qui, e questo viene registrato.
problem-erasure-too-soon = Non per un giorno dopo un recupero o un nuovo dispositivo
problem-erasure-too-soon-detail = Per un giorno dopo un recupero o un nuovo dispositivo questo non si fa, perché non si può annullare: attendi fino all'ora indicata.
problem-last-passkey = È l'ultima passkey
problem-last-passkey-detail = Prima aggiungine un'altra: senza, nessuno potrebbe accedere.
problem-last-contact = È l'ultimo contatto
problem-last-contact-detail = Prima aggiungine un altro: senza, nessuno potrebbe recuperare il wallet.
problem-passkey-not-registered = La passkey non è stata registrata
problem-passkey-not-registered-detail = Ricomincia e creala su un dispositivo che verifica chi sei, con PIN, impronta o volto.

mail-code-subject = Il tuo codice per { $name }
mail-code-body =
    Ecco il tuo codice per { $name }:

    { $code }

    Si usa una volta sola, entro { $minutes } minuti. Non lo chiediamo mai per telefono o in un messaggio.

    Se non l'hai chiesto tu, non devi fare nulla: senza il codice non succede niente.

mail-wallet-there-subject = Hai già un wallet con { $name }
mail-wallet-there-body =
    Qualcuno, forse tu, ha chiesto un wallet con { $name } usando questo indirizzo. Ne hai già uno.

    Accedi con la tua passkey. Se l'hai persa, scegli di recuperare il wallet.

    Se non l'hai chiesto tu, non devi fare nulla: non è cambiato niente.

mail-recovery-code-subject = Il tuo codice per recuperare il wallet con { $name }
mail-recovery-code-body =
    Ecco il tuo codice per recuperare il wallet con { $name }:

    { $code }

    Si può usare una volta, entro { $minutes } minuti. Chi lo ha può registrare una nuova passkey: non lo chiediamo mai per telefono o con un messaggio.

    Se non l'hai chiesto tu, non devi fare nulla: senza il codice non succede niente.

mail-no-wallet-subject = Nessun wallet con { $name } per questo indirizzo
mail-no-wallet-body =
    Qualcuno, forse tu, voleva recuperare un wallet con { $name } usando questo indirizzo. Non ce n'è nessuno.

    Se ne hai uno, è con un altro tuo indirizzo.

    Se non l'hai chiesto tu, non devi fare nulla.

mail-notice-passkey-added-subject = Aggiunta una passkey al tuo wallet con { $name }
mail-notice-passkey-added-body =
    È stata aggiunta una passkey al tuo wallet con { $name }: { $at }.

    Se sei stato tu, non devi fare nulla. Altrimenti accedi con una tua passkey e guarda dispositivi e passkey: quello che non è tuo si può togliere lì.

mail-notice-passkey-revoked-subject = Tolta una passkey dal tuo wallet con { $name }
mail-notice-passkey-revoked-body =
    È stata tolta una passkey dal tuo wallet con { $name }: { $at }.

    Se sei stato tu, non devi fare nulla. Altrimenti accedi con una tua passkey e guarda dispositivi e passkey: quello che non è tuo si può togliere lì.

mail-notice-device-bound-subject = Un nuovo dispositivo nel tuo wallet con { $name }
mail-notice-device-bound-body =
    Un dispositivo è entrato per la prima volta nel tuo wallet con { $name }: { $at }. Per un giorno si possono pagare solo piccoli importi.

    Se sei stato tu, non devi fare nulla. Altrimenti accedi con una tua passkey e guarda dispositivi e passkey: quello che non è tuo si può togliere lì.

mail-notice-device-revoked-subject = Tolto un dispositivo dal tuo wallet con { $name }
mail-notice-device-revoked-body =
    Un dispositivo del tuo wallet con { $name } è stato tolto e le sue sessioni sono terminate: { $at }.

    Se sei stato tu, non devi fare nulla. Altrimenti accedi con una tua passkey e guarda dispositivi e passkey: quello che non è tuo si può togliere lì.

mail-notice-recovery-begun-subject = Qualcuno sta recuperando il tuo wallet con { $name }
mail-notice-recovery-begun-body =
    Qualcuno che legge la posta di un tuo indirizzo sta recuperando il tuo wallet con { $name }: { $at }.

    Se sei stato tu, non devi fare nulla. Altrimenti accedi con una tua passkey e guarda dispositivi e passkey: quello che non è tuo si può togliere lì.

mail-notice-recovery-done-subject = Il tuo wallet con { $name } è stato recuperato
mail-notice-recovery-done-body =
    Con un codice arrivato per posta è stata registrata una nuova passkey per il tuo wallet con { $name }, e tutte le sessioni sono terminate: { $at }. Per un giorno si possono pagare solo piccoli importi, e le tue passkey precedenti aprono ancora il wallet.

    Se sei stato tu, non devi fare nulla. Altrimenti accedi con una tua passkey e guarda dispositivi e passkey: quello che non è tuo si può togliere lì.

mail-notice-contact-added-subject = Aggiunto un contatto al tuo wallet con { $name }
mail-notice-contact-added-body =
    È stato aggiunto un contatto al tuo wallet con { $name }: { $at }.

    Se sei stato tu, non devi fare nulla. Altrimenti accedi con una tua passkey e guarda dispositivi e passkey: quello che non è tuo si può togliere lì.

mail-notice-contact-ended-subject = Tolto un contatto dal tuo wallet con { $name }
mail-notice-contact-ended-body =
    È stato tolto un contatto dal tuo wallet con { $name }: { $at }.

    Se sei stato tu, non devi fare nulla. Altrimenti accedi con una tua passkey e guarda dispositivi e passkey: quello che non è tuo si può togliere lì.

mail-notice-erased-subject = Il tuo wallet con { $name } è stato cancellato
mail-notice-erased-body =
    Quello che { $name } sa di te viene cancellato per sempre, e il tuo wallet è chiuso: { $at }. Non si può annullare. Ciò che la legge ci fa conservare resta, senza il tuo nome.

    Se l'hai chiesto tu, non devi fare nulla. Altrimenti scrivi subito a { $name } e cambia la password di questa casella: è l'ultima lettera che possiamo mandarti.

mail-notice-approvals-blocked-subject = Pagamenti del tuo wallet con { $name } bloccati per ora
mail-notice-approvals-blocked-body =
    Cinque conferme di pagamento di seguito non sono riuscite nel tuo wallet con { $name }: { $at }. Nessun pagamento si può confermare fino al { $until }.

    Se sei stato tu, non devi fare nulla. Altrimenti accedi con una tua passkey e guarda dispositivi e passkey: quello che non è tuo si può togliere lì.

mail-notice-approvals-last-subject = Pagamenti del tuo wallet con { $name } bloccati per l'ultima volta
mail-notice-approvals-last-body =
    Altre cinque conferme di pagamento di seguito non sono riuscite nel tuo wallet con { $name }: { $at }. Nessun pagamento si può confermare fino al { $until }. Se succede ancora una volta, restano bloccati finché non dimostri di nuovo chi sei, recuperando il wallet.

    Se sei stato tu, non devi fare nulla. Altrimenti accedi con una tua passkey e guarda dispositivi e passkey: quello che non è tuo si può togliere lì.

mail-notice-approvals-barred-subject = Pagamenti del tuo wallet con { $name } bloccati
mail-notice-approvals-barred-body =
    Troppe conferme di pagamento non sono riuscite nel tuo wallet con { $name }: { $at }. Nessun pagamento si può confermare finché non dimostri di nuovo chi sei: recupera il wallet, con un codice che arriva a questo indirizzo e una nuova passkey. Per un giorno dopo si possono pagare solo piccoli importi.

    Se sei stato tu, non devi fare nulla. Altrimenti accedi con una tua passkey e guarda dispositivi e passkey: quello che non è tuo si può togliere lì.

## Problemi dei livelli

problem-limits-in-the-past = La tabella inizia nel passato
problem-limits-in-the-past-detail = Ciò che era in vigore resta com'era: fai iniziare la tabella ora o più avanti.
problem-limits-impossible = I limiti non sono possibili
problem-limits-impossible-detail = Un limite va da 0 a 10^15 unità minime; ometti ciò che non ne ha.
problem-sca-rule-unlawful = La legge non permette questa regola
problem-sca-rule-unlawful-detail = Basso valore è 30 EUR al massimo, e 100 EUR in tutto o cinque pagamenti: uno dei due contatori.
problem-sca-rule-in-the-past = La regola inizia nel passato
problem-sca-rule-in-the-past-detail = Ciò che era in vigore resta com'era: fai iniziare la regola ora o più avanti.
problem-sca-rule-taken = In quel momento inizia un'altra regola
problem-sca-rule-taken-detail = Scegli un altro momento; ciò che è approvato resta.
problem-limits-taken = In quel momento inizia un'altra tabella
problem-limits-taken-detail = Scegli un altro momento; ciò che è pubblicato resta.
problem-limits-busy = I limiti stanno cambiando
problem-limits-busy-detail = Non è successo nulla: riprova tra un momento.
problem-person-unknown = Questa persona non esiste
problem-person-unknown-detail = Il cliente non si è registrato, o l'identificativo è di un altro.
problem-limit-stored = Il wallet conterrebbe più di quanto consente il tuo livello
problem-limit-stored-detail = Versa al massimo quanto resta, o alza il tuo livello: dimostra chi sei. Poi usa una nuova Idempotency-Key.
problem-limit-payment = Il pagamento è più grande di quanto consente il tuo livello
problem-limit-payment-detail = Paga al massimo quell'importo per volta, o alza il tuo livello: dimostra chi sei. Poi usa una nuova Idempotency-Key.
problem-limit-day = I pagamenti del giorno supererebbero quanto consente il tuo livello
problem-limit-day-detail = Paga al massimo quanto resta, aspetta domani, o alza il tuo livello: dimostra chi sei. Poi usa una nuova Idempotency-Key.
problem-limit-month = I pagamenti del mese supererebbero quanto consente il tuo livello
problem-limit-month-detail = Paga al massimo quanto resta, aspetta il mese prossimo, o alza il tuo livello: dimostra chi sei. Poi usa una nuova Idempotency-Key.

## Problemi dei consensi

problem-purpose-unknown = Per questo scopo non si chiede nulla
problem-purpose-unknown-detail = Elenca ciò a cui si può acconsentire e usa uno dei suoi scopi.
problem-consent-text-changed = Ora si chiede un altro testo
problem-consent-text-changed-detail = Mostra il testo ora in vigore e invia la sua versione e il suo hash.
problem-consent-text-invalid = Il testo non può essere conservato
problem-consent-text-invalid-detail = Uno scopo ha da 1 a 40 tra a-z, 0-9 e _; il testo da 1 a 20000 byte, in italiano e in inglese.

## Problemi della privacy

problem-passkey-stale = Mostra di nuovo la tua passkey
problem-passkey-stale-detail = Accedi di nuovo con la passkey: per questo serve averla mostrata negli ultimi cinque minuti.
problem-wallet-not-empty = Nel portafoglio c'è del denaro
problem-wallet-not-empty-detail = Spendi ciò che contiene o fattelo versare, e lascia finire ciò che è accantonato. Poi chiedi di nuovo.

## Pagine

page-skip = Vai al contenuto
page-nav = Il tuo wallet
page-footer = Non chiediamo mai codici per telefono, e mai una password: qui non ne hai.
page-error = Errore
page-when = { $day } { $month } { $year }, { $time }
page-month-1 = gennaio
page-month-2 = febbraio
page-month-3 = marzo
page-month-4 = aprile
page-month-5 = maggio
page-month-6 = giugno
page-month-7 = luglio
page-month-8 = agosto
page-month-9 = settembre
page-month-10 = ottobre
page-month-11 = novembre
page-month-12 = dicembre

page-through = Vai al tuo wallet
page-through-on = Continua
page-no-script = Le passkey richiedono JavaScript. Attivalo per questa pagina, oppure aprila con un altro browser.
page-passkey-waiting = Il tuo dispositivo ti chiede la passkey.
page-passkey-failed = Non è stata mostrata nessuna passkey. Riprova; se su questo dispositivo non ne hai, usane una di un altro.
page-passkey-unsupported = Questo browser non conosce le passkey. Usane uno più recente.

page-home = Panoramica
page-home-title = Il tuo wallet su { $tenant }
page-home-lead = Tutto ciò che è tuo, in un solo posto.
page-sign-out = Esci

page-sign-in = Accedi
page-sign-in-title = Accedi a { $tenant }
page-sign-in-lead = Con la tua passkey: l'impronta, il volto o il PIN di questo dispositivo. Non c'è nessuna password.
page-sign-in-button = Accedi con una passkey
page-sign-in-out = Sei uscito.
page-sign-in-removed = Il dispositivo è stato rimosso e l'accesso è chiuso.
page-sign-in-refused = Accesso non riuscito
page-sign-in-refused-detail = Riprova con una passkey di questo wallet. Dopo cinque tentativi falliti, aspetta un quarto d'ora.
page-sign-in-renew = Il dispositivo era stato rimosso
page-sign-in-renew-detail = Chi lo ha rimosso non voleva più che fosse riconosciuto. Accedi ancora una volta: conterà come un dispositivo nuovo.

page-step = Passo { $step } di { $of }
page-sign-up = Apri un wallet
page-sign-up-title = Apri il tuo wallet su { $tenant }
page-sign-up-lead = Ti servono un indirizzo di posta e un dispositivo che ti riconosce con impronta, volto o PIN. Non c'è nessuna password.
page-sign-up-email = Indirizzo di posta
page-sign-up-button = Inviami un codice
page-sign-up-there = Ne hai già uno?
page-sign-up-not = Non ha funzionato
page-sign-up-wrong-email = Scrivi l'indirizzo come nome@example.org.
page-sign-up-too-many = Troppi codici richiesti. Cerca l'ultimo arrivato, oppure aspetta un'ora.
page-sign-up-refused = La passkey non è stata accettata e il codice è usato. Ricomincia.
page-sign-up-taken = Con questo indirizzo c'è già un wallet. Accedi a quello.
page-sign-up-code-title = Guarda la tua posta
page-sign-up-code-lead = Se l'indirizzo è giusto, lì c'è un codice di otto cifre. Vale dieci minuti, una volta sola.
page-sign-up-code = Codice
page-sign-up-code-hint = Otto cifre; gli spazi non contano.
page-sign-up-wrong-code = Non è il codice. Guarda l'ultimo arrivato; dopo cinque errori chiedine un altro.
page-sign-up-code-button = Continua
page-sign-up-code-none = Nessun messaggio? Chiedi un altro codice
page-sign-up-passkey-title = Crea una passkey
page-sign-up-passkey-lead = Prende il posto della password: la conserva il tuo dispositivo, che ti chiede impronta, volto o PIN.
page-sign-up-passkey-name = Nome di questa passkey
page-sign-up-passkey-hint = Per riconoscerla nel tuo elenco.
page-sign-up-passkey-button = Crea la passkey
page-passkey-not-made = Non è stata creata nessuna passkey. Riprova, o usa un altro dispositivo.
page-sign-in-new = Prima volta qui?
page-sign-in-lost = Hai perso tutte le passkey?

page-recovery = Recupera il wallet
page-recovery-title = Recupera il tuo wallet su { $tenant }
page-recovery-lead = Con un codice a uno dei tuoi indirizzi di posta e una nuova passkey.
page-recovery-caution = Avvisiamo tutti i tuoi indirizzi e chiudiamo ogni accesso. Per un giorno si possono pagare in tutto al massimo { $most }, e un nuovo dispositivo non può rimuovere nulla di più vecchio.
page-recovery-there = Hai ancora una passkey?
page-recovery-passkey-title = Crea una nuova passkey
page-recovery-passkey-lead = Poi ogni accesso si chiude, e per un giorno si possono pagare al massimo { $most }. Le passkey più vecchie restano: domani rimuovi quelle perse.

page-devices = Dispositivi e passkey
page-devices-about = Dove hai effettuato l'accesso, e con che cosa. Rimuovi ciò che non è tuo.
page-devices-list = Dispositivi
page-devices-lead = Ce n'è uno che non conosci? Rimuovilo, poi rimuovi la passkey con cui è entrato.
page-devices-others = Esci da tutti gli altri
page-devices-done-removed = Rimosso.
page-devices-done-renamed = Il nuovo nome è salvato.
page-devices-done-others = L'accesso è chiuso su tutti gli altri dispositivi.
page-devices-done-added = La passkey è stata aggiunta.
page-devices-done-recovered = Il wallet è di nuovo tuo. Per un giorno si possono pagare al massimo { $most }, e da qui non si può rimuovere nulla di più vecchio.
page-device-unnamed = Browser
page-device-this = questo dispositivo
page-device-seen = Ultimo uso
page-device-since = Dal
page-device-by-sign-up = alla registrazione
page-device-by-older-device = con una tua passkey
page-device-by-recovery = con un recupero
page-device-state = Adesso
page-device-in = { $count ->
    [one] accesso aperto
   *[other] { $count } accessi aperti
}
page-device-out = accesso chiuso
page-device-remove = Rimuovi
page-device-remove-what = L'accesso si chiude subito, su tutti i nostri sistemi entro un secondo.
page-device-remove-this = È quello che stai usando: dovrai accedere di nuovo.
page-device-remove-button = Rimuovi questo dispositivo
page-passkeys = Passkey
page-passkeys-lead = Chi ne ha una può accedere al posto tuo.
page-passkey-used = Ultimo uso
page-passkey-never = mai
page-passkey-where = Dove
page-passkey-synced = può trovarsi su più dispositivi tuoi
page-passkey-bound = su un solo dispositivo
page-passkey-name = Nome
page-passkey-rename = Rinomina
page-passkey-rename-button = Salva il nome
page-passkey-remove = Rimuovi
page-passkey-remove-what = Nessuno potrà più usarla per accedere. Sul tuo dispositivo resta elencata finché non la elimini anche lì.
page-passkey-remove-button = Rimuovi questa passkey
page-passkey-last = È la tua ultima passkey
page-passkey-last-detail = Senza non potresti più accedere. Non è cambiato nulla.
page-passkey-add = Aggiungi una passkey
page-passkey-add-lead = Su questo dispositivo o su un altro: se ne perdi una, entri con l'altra.
page-passkey-add-not = Non aggiungerla
page-passkey-not-added = Nessuna passkey è stata aggiunta
page-passkey-not-added-detail = La risposta del dispositivo non è stata accettata, o è passato troppo tempo. Riprova.

page-contacts = Contatti
page-contacts-about = Dove ti scriviamo quando succede qualcosa, e con che cosa puoi rientrare.
page-contacts-lead = Ognuno viene avvisato quando cambia qualcosa, e con ognuno puoi rientrare se perdi le passkey.
page-contacts-added = Il contatto è stato aggiunto.
page-contacts-removed = Il contatto è stato rimosso. Lo avvisiamo un'ultima volta.
page-contact-since = Confermato
page-contact-only = L'ultimo resta: senza non potresti recuperare il wallet.
page-contact-remove = Rimuovi
page-contact-remove-what = Scriviamo lì ancora una volta, per dirlo, e poi mai più.
page-contact-remove-button = Rimuovi questo contatto
page-contact-add = Aggiungi un contatto
page-contact-add-lead = Inviamo lì un codice. Gli altri vengono avvisati.
page-contact-code-lead = Al nuovo indirizzo c'è un codice di otto cifre. Vale dieci minuti, una volta sola.
page-contact-code-button = Aggiungi il contatto
page-contact-taken = Questo indirizzo non si può aggiungere
page-contact-taken-detail = C'è già un wallet con esso. Non è cambiato nulla.
page-contact-last = È il tuo ultimo contatto
page-contact-last-detail = Senza non potresti recuperare il wallet. Non è cambiato nulla.

page-payments = Pagamenti
page-payments-about = Quello che hai pagato qui con una passkey, dal più recente.
page-payments-none = Finora nulla.
page-pay = Paga
page-pay-title = Da pagare
page-pay-to = a { $payee }
page-pay-reference = Ordine
page-pay-on = Continua
page-pay-not = Non pagare
page-pay-from = Da
page-pay-wallet = il tuo wallet su { $tenant }
page-pay-earns = Ottieni
page-pay-earns-nothing = questa volta nulla
page-pay-until = Conferma entro
page-approve = Conferma il pagamento
page-approve-title = Conferma questo pagamento
page-approve-button = Paga { $amount } con una passkey
page-approve-failed = Non è stata mostrata nessuna passkey e non è stato pagato nulla. Riprova, oppure non pagare.
page-pay-refused = Il pagamento non è stato confermato
page-pay-refused-detail = La passkey non è stata accettata, o è passato troppo tempo. Dopo cinque errori di fila le conferme sono bloccate per un po'.
page-pay-device-detail = Questa passkey può trovarsi su più dispositivi, e allora per il pagamento serve un dispositivo registrato come tuo. Questo browser non lo è: usa quello in cui hai aperto il wallet.
page-pay-nothing = Non è stato pagato nulla
page-pay-again = Guardalo di nuovo
page-paid-paid = Pagato
page-paid-paid-detail = È nei libri, e non si può pagare due volte.
page-paid-waiting = Aspetta te
page-paid-waiting-detail = Nessuno lo ha ancora confermato: torna alla pagina in cui è stato chiesto.
page-paid-expired = Scaduto
page-paid-expired-detail = Nessuno lo ha confermato in tempo. Non è stato pagato nulla.
page-paid-agreed = Confermato
page-paid-agreed-detail = Si sta pagando: ricarica la pagina tra un momento.
page-paid-refused = Non pagato
page-paid-refused-detail = Lo hai confermato, ma non è stato possibile. Non è stato pagato nulla.
page-paid-lapsed = Non pagato
page-paid-lapsed-detail = Lo hai confermato, ma non è stato fatto in tempo. Non è stato pagato nulla, e non lo sarà.
page-paid-at = Chiesto il
page-paid-seq = Nei libri
page-paid-id = Pagamento
page-problem-merchant-unknown = Questo esercente non esiste
page-problem-merchant-unknown-detail = Non è stato pagato nulla. Chiedi all'esercente un altro link.
page-problem-amount-invalid = Questo importo non si può pagare
page-problem-amount-invalid-detail = Non è stato pagato nulla. Chiedi all'esercente un altro link.
page-problem-approval-impossible = Questo pagamento non si può mostrare con sicurezza
page-problem-approval-impossible-detail = Non è stato pagato nulla. Chiedi all'esercente di chiederlo in un altro modo.
page-problem-caution = Non per un giorno
page-problem-caution-detail = Qualcuno è entrato con un nuovo dispositivo o un recupero. Fino a un giorno dopo si può pagare solo poco. Non è stato pagato nulla.
page-problem-cooling-off = Non per un giorno
page-problem-cooling-off-detail = Per un giorno dopo un recupero un nuovo dispositivo non chiude nulla di ciò che c'era prima. Usane uno più vecchio, o aspetta.
page-problem-own-device-needed = Questo browser non è registrato come tuo
page-problem-own-device-needed-detail = Non è stato cambiato nulla. Usa un browser o un telefono che lo sia, oppure recupera il portafoglio qui: così viene registrato.
page-problem-proof-needed = Questo browser non è riconosciuto
page-problem-proof-needed-detail = Non ha potuto mostrare di essere il dispositivo con cui sei entrato. Non è stato fatto nulla. Accedi di nuovo, con JavaScript attivo.
page-problem-last-passkey = È la tua ultima passkey
page-problem-last-passkey-detail = Senza non potresti più accedere. Non è cambiato nulla.
page-problem-passkeys-not-set = Qui non ci sono pagine
page-problem-passkeys-not-set-detail = Chi gestisce il servizio non ha indicato dove sono le sue pagine.
page-problem-mail-not-set = Non si può inviare posta
page-problem-mail-not-set-detail = Quindi ora nessuno può registrarsi. Riprova più tardi.

page-consents = Consensi
page-consents-about = A che cosa hai acconsentito, e con quali parole. Puoi revocare quando vuoi.
page-consents-lead = Che cosa ti chiede { $tenant }. Senza il tuo sì non vale nulla, e nient'altro ne dipende.
page-consents-none = Non ti viene chiesto nulla.
page-consents-given = Abbiamo annotato che acconsenti.
page-consents-taken = Abbiamo annotato che non acconsenti più.
page-consents-changed = Il testo è cambiato
page-consents-changed-detail = Leggilo com'è adesso. Non abbiamo annotato nulla.
page-consent-given = Acconsenti
page-consent-not = Non acconsenti
page-consent-since = dal
page-consent-another = Hai acconsentito a un testo precedente; questo è quello in vigore.
page-consent-give = Acconsento
page-consent-take = Revoca
page-act-customer-looked-at = Il personale dell'azienda ha consultato i tuoi dati
page-act-glass-broken = I tuoi dati sono stati aperti in emergenza
page-act-consent-granted = Consenso dato
page-act-consent-withdrawn = Consenso revocato
page-act-person-level-changed = Livello di identità cambiato
page-act-approval-of-another = Un pagamento non era quello confermato
page-act-approvals-blocked = Conferme bloccate dopo errori
page-act-person-exported = Copia dei tuoi dati scaricata
page-act-person-erased = Wallet cancellato
page-act-four-eyes-asked = Il personale dell'azienda ha chiesto qualcosa che decide una seconda persona
page-act-four-eyes-confirmed = Una seconda persona del personale l'ha approvato
page-act-four-eyes-rejected = Una seconda persona del personale l'ha rifiutato

page-looks = Chi ha guardato
page-looks-about = Chi ha guardato o modificato i tuoi dati, e quando.
page-looks-lead = Che cosa il nostro registro ha dei tuoi dati su { $tenant }: chi ne ha fatto che cosa, e quando, dal più recente.
page-looks-none = Finora nessuno.
page-looks-older = Precedenti
page-look-refused = rifiutato
page-look-at-card = La tua tessera: che cosa hai pagato, quando l'ultima volta, che cosa hai
page-look-at-balances = I tuoi saldi
page-look-at-statement = I tuoi movimenti
page-look-at-payment = Un tuo pagamento
page-look-at-explanation = Perché un tuo pagamento è andato così
page-look-at-account = Il tuo conto nei libri
page-look-at-refund = Un tuo pagamento, per rimborsarlo
page-look-at-capture = Un tuo pagamento accantonato, per incassarlo
page-look-at-void = Un tuo pagamento accantonato, per liberarlo
page-look-emergency = In emergenza.
page-role-shop-staff = personale di negozio
page-role-biller = fatturazione
page-role-merchant = esercente
page-role-marketing = marketing
page-role-finance = contabilità
page-role-bank = banca
page-role-developer = sviluppo
page-role-admin = amministrazione
page-look-by-me = Tu
page-look-by-client = Un sistema di { $tenant }
page-look-by-person = Un altro cliente
page-look-by-staff = Una persona che lavora per { $tenant }
page-look-by-operator = Chi gestisce il servizio
page-look-by-system = Il servizio stesso
page-look-by-other = Qualcun altro
page-act-other = È stato fatto qualcosa con i tuoi dati
page-act-person-signed-up = Wallet aperto
page-act-person-signed-in = Accesso
page-act-recovery-begun = Recupero iniziato
page-act-recovery-done = Wallet recuperato con una nuova passkey
page-act-device-bound = Dispositivo aggiunto
page-act-device-revoked = Dispositivo rimosso
page-act-passkey-added = Passkey aggiunta
page-act-passkey-revoked = Passkey rimossa
page-act-contact-added = Contatto aggiunto
page-act-contact-ended = Contatto rimosso

page-day-0 = lun
page-day-1 = mar
page-day-2 = mer
page-day-3 = gio
page-day-4 = ven
page-day-5 = sab
page-day-6 = dom

page-staff-nav = Il tuo lavoro
page-staff-footer = Non chiediamo mai la tua passkey, la password o un invito, né per telefono né per e-mail.
page-staff-through = Vai al tuo lavoro
page-staff-home = Panoramica
page-staff-home-title = Il tuo lavoro per { $tenant }
page-staff-sign-in-title = Personale di { $tenant }: accedi
page-staff-sign-in-lead = Per chi lavora qui. I clienti hanno il loro accesso, nel wallet.
page-staff-sign-in-away = Non hai la passkey a portata di mano?
page-staff-sign-in-new = Hai un invito?
page-staff-by-password = Accedi con la password
page-staff-by-password-lead = Contabilità e amministrazione allora non sono in vigore, e la sessione è breve. Dopo cinque tentativi sbagliati aspetta un quarto d'ora.
page-staff-by-password-button = Accedi
page-staff-by-passkey = Accedi con una passkey
page-staff-email = Indirizzo e-mail
page-staff-password-one = Password
page-staff-invitation = Usa un invito
page-staff-invitation-title = Il tuo invito a lavorare per { $tenant }
page-staff-invitation-lead = Con l'invito crei la passkey con cui accedi da allora in poi.
page-staff-invitation-one = Invito
page-staff-invitation-hint = Comincia con tsi_ e vale un giorno, una volta sola.
page-staff-invitation-button = Continua
page-staff-invitation-there = Hai già la tua passkey?
page-staff-passkey-lead = La conserva il tuo dispositivo, che ti chiede impronta, volto o PIN. Passkey, password e sessioni che avevi prima finiscono.
page-staff-passkey-hint = Per sapere quale dispositivo ce l'ha.
page-staff-password = Password
page-staff-password-lead = Per quando non hai la passkey a portata di mano. Apre di meno: niente contabilità, niente amministrazione, nessuna emergenza.
page-staff-password-choose = Scegli una password
page-staff-password-change = Cambia la password
page-staff-password-new = Nuova password
page-staff-password-hint = Almeno quindici caratteri: bastano alcune parole di seguito. Devi aver mostrato la passkey negli ultimi cinque minuti.
page-staff-password-button = Conserva questa password
page-staff-password-end = Elimina la password
page-staff-password-end-what = Nessuno accede più con questa password, e chi l'ha fatto viene scollegato.
page-staff-password-end-button = Elimina
page-staff-password-set = La password è conservata. Ciò che la precedente aveva aperto è finito.
page-staff-password-ended = Non hai più una password.
page-staff-me = Chi sei qui
page-staff-me-what = Un ruolo vale nelle sue ore, secondo gli orologi dell'azienda; contabilità e amministrazione solo con una passkey.
page-staff-name = Nome
page-staff-role = Ruolo
page-staff-any-hour = a ogni ora
page-staff-not-in-force = ora non in vigore
page-staff-waits = In attesa di un secondo paio d'occhi
page-staff-waits-nothing = Non c'è nulla in attesa.
page-staff-waits-not-yours = Nessuno dei tuoi ruoli in vigore decide su ciò che altri hanno chiesto.
page-staff-act-refund = Rimborso di { $amount }
page-staff-act-limits = Nuova tabella dei limiti
page-staff-act-erasure = Cancellazione di un cliente
page-staff-act-sca-rule = Nuova regola di autenticazione forte
page-staff-asked-rule-rts-16 = Piccoli pagamenti senza approvazione
page-staff-asked-rule-synced-passkey = Da sola, una passkey che può stare su più dispositivi
page-staff-rule-most = fino a { $most } ciascuno
page-staff-rule-total = fino a { $most } in tutto dall'ultima approvazione
page-staff-rule-uses = al massimo { $uses } dall'ultima approvazione
page-staff-act-correction = Correzione dei libri
page-staff-reason-error = registrata per errore
page-staff-reason-dispute = una contestazione fondata
page-staff-reason-goodwill = un omaggio
page-staff-reason-fraud = frode
page-staff-reason-migration = portata da altri libri
page-staff-reason-other = altro
page-staff-asked-reason = Motivo
page-staff-asked-words = In parole
page-staff-asked-move = Sposta
page-staff-moved = { $much } da { $from } a { $to }
page-staff-moved-owing = { $much } da { $from }, che può restare in debito, a { $to }
page-staff-why = Perché rifiuti
page-staff-asked-payment = Pagamento
page-staff-asked-person = Cliente
page-staff-asked-from = Vale da
page-staff-asked-at-once = quando è approvata
page-staff-asked-levels = Livelli
page-staff-asked-law = come li prevede la legge
page-staff-limit-stored = nel wallet { $most }
page-staff-limit-payment = un pagamento { $most }
page-staff-limit-day = al giorno { $most }
page-staff-limit-month = al mese { $most }
page-staff-limit-none = senza limite
page-staff-asked-by = Chiesto da
page-staff-asked-by-system = un sistema dell'azienda, numero { $number }
page-staff-asked-at = Chiesto il
page-staff-asked-until = Decidi entro
page-staff-letter = Alla lettera
page-staff-mine = L'hai chiesto tu: decide qualcun altro.
page-staff-approve = Approva
page-staff-approve-what = Viene fatto subito, come è stato chiesto, e non si può annullare.
page-staff-reject = Rifiuta
page-staff-reject-what = Non viene fatto. Chi l'ha chiesto può chiederlo di nuovo.
page-staff-done-approved = Approvato e fatto.
page-staff-done-rejected = Rifiutato: non viene fatto.

page-problem-refused = Non si può fare
page-problem-refused-detail = Non puoi farlo, o non da qui.
page-problem-origin-refused = Non viene dalle nostre pagine
page-problem-origin-refused-detail = Non è stato fatto nulla. Apri tu la pagina e invia da lì.
page-problem-not-found = Qui non c'è nulla
page-problem-not-found-detail = Controlla l'indirizzo. Ciò che c'era potrebbe essere stato rimosso.
page-problem-too-many = Troppo in una volta
page-problem-too-many-detail = Non è stato fatto nulla. Aspetta un minuto, poi riprova.
page-problem-unreadable = Non si riesce a leggere
page-problem-unreadable-detail = Non è stato fatto nulla. Torna indietro, ricarica la pagina e riprova.
page-problem-busy = Serve un momento
page-problem-busy-detail = Adesso abbiamo troppo da fare. Aspetta un momento, poi ricarica la pagina.
page-problem-broken = Qualcosa non ha funzionato da parte nostra
page-problem-broken-detail = Non dipende da te. Riprova tra un po'.
problem-origin-refused = Non viene da una delle nostre pagine
problem-origin-refused-detail = Vai sulla pagina, ricaricala e invia da lì.
problem-form-unreadable = Ciò che è stato inviato non si legge
problem-form-unreadable-detail = Torna sulla pagina, ricaricala e invia di nuovo.

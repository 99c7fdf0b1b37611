# Le parole dell'API in italiano. en.ftl ha gli stessi nomi: lo controlla un test.

## Problemi comuni

problem-scope-missing = La chiave non consente questa operazione
problem-scope-missing-detail = Le manca il permesso { $scope }: usa una chiave che lo abbia.

## Errori in un campo

field-missing = Questo campo è obbligatorio.
field-unknown = Questo campo qui non esiste.

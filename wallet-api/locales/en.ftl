# Words of the wallet API in English. it.ftl holds the same ids: a test says so.

## Problems of the edge

problem-scope-missing = The key may not do this
problem-scope-missing-detail = It lacks the scope { $scope }: use a key that has it.

## Mistakes in a field

field-missing = This field is required.
field-unknown = This field does not exist here.

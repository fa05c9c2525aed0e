"""The contract users see: the models behind the CRDs. Knows no other layer."""

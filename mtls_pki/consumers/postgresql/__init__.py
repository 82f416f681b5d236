"""PostgreSQL: who is connected under which issuing CA, as its servers tell."""

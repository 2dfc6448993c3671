"""The pages of the catalog, one per stream or kind of row; fleetward.contracts.catalog binds them."""

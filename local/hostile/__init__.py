"""ModelRollouts that the schema lets through and nobody in their right mind would write. Made from the CRD itself."""

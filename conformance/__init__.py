"""The rules: R4 definitions, FHIRPath, validation, county profiles, recognition, test suites."""

"""Drug use is checked before prescribing (CDS Hooks), when a prescription is written, and afterwards (docs/workflow/policy.md)."""

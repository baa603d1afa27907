"""The county's drug catalogue: codes and their structure, levels from generic name to pack, tiers."""

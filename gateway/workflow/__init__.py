"""The county's workflows: state machines that every write passes, and what a transition sets in motion (docs/workflow/)."""

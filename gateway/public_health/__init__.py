"""Public health beside care: notifiable diseases, maternal and child risk, discharge follow-up, home care, sensitive data."""

"""Referral up and down (双向转诊): what is checked, where it may go, numbers and beds, what follows."""

"""Chronic care (慢病管理): grades that follow the data, plans with a timetable, contracts, long prescriptions."""

"""Critical values (危急值): detected, checked by two, told, read back, handled; never ended but by a person (workflows W17)."""

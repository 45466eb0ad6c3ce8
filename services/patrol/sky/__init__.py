"""The sky's rules, what stands over the district, and applications to fly."""

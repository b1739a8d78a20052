"""What a sweep file asks for, and what of it is still to do."""

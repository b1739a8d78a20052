"""The personalisation core: reads a user's events and profile, and steers a task model's attention and fusion."""

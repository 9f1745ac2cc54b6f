"""pydantic-settings' own tests as a yardstick: what the decorator touches must stay what it was."""

"""What the commands share: the app, how they log and end, and options that several have."""

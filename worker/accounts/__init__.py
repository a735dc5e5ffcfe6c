"""The users' accounts at services: their installs and logins, opened, stored and migrated."""

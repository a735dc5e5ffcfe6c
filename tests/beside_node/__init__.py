"""The platform's Node.js SDK beside our accounts: both read and renew one install."""

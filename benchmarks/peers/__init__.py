"""The same relay, written with what one would pick instead. Each runs in `var/peers`, pinned by `requirements.lock`."""

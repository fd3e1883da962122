"""Drop-ins: classes under the names and with the rules of other systems, over a Shoal store."""

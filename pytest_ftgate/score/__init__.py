"""From a reply to its score: what it says, and apart from that, the form it has."""

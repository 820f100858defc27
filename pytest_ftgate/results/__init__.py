"""The run record and the accepted record."""

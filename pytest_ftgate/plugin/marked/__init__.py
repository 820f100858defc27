"""Test functions marked with `@pytest.mark.ftgate`."""

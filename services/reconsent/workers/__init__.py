"""The services that run beside one another; none knows another one."""

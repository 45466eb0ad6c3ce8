-- The web may count failed logins; what an account may do is the owner's to change.
REVOKE UPDATE ON account FROM gridwing_app;
GRANT UPDATE (failures, locked_until) ON account TO gridwing_app;

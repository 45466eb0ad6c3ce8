-- Accounts and server-side sessions. Passwords are argon2 hashes; session tokens are kept hashed.
CREATE TABLE account (
    account       text        PRIMARY KEY,
    role          text        NOT NULL,
    display       text        NOT NULL,
    responder_id  text,
    password_hash text        NOT NULL,
    disabled      boolean     NOT NULL DEFAULT false,
    failures      integer     NOT NULL DEFAULT 0,
    locked_until  timestamptz
);
CREATE TABLE session (
    token_hash bytea       PRIMARY KEY,
    account    text        NOT NULL REFERENCES account ON DELETE CASCADE,
    csrf       text        NOT NULL,
    expires_at timestamptz NOT NULL
);
CREATE INDEX session_account ON session (account);
GRANT SELECT, UPDATE ON account TO gridwing_app;
GRANT SELECT, INSERT, DELETE ON session TO gridwing_app;

-- Erasable bodies: free text and personal data, salted so that a hash in the ledger tells nothing.
CREATE TABLE personal (
    ref     text  PRIMARY KEY,
    subject text  NOT NULL,
    salt    bytea NOT NULL,
    body    json  NOT NULL
);
CREATE INDEX personal_subject ON personal (subject);
GRANT SELECT, INSERT, DELETE ON personal TO gridwing_service, gridwing_app;

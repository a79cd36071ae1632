-- Who wants to lock mailboxes exclusively holds the row, from before that lock; who wants to share a
-- lock waits for the row once. Otherwise those who share it one after another could keep it for ever:
-- PostgreSQL lets them join in before who waits for it alone.
CREATE TABLE mailbox_queue (
    one boolean PRIMARY KEY CHECK (one)
);
INSERT INTO mailbox_queue VALUES (true);
COMMENT ON TABLE mailbox_queue IS 'local: a single row, which is only locked';

-- An account that is being moved from or to another storage. The token is the same on both sides.
CREATE TABLE account_move (
  account INTEGER PRIMARY KEY REFERENCES account (id),
  state TEXT NOT NULL CHECK (state IN ('incoming', 'moved')),
  token TEXT NOT NULL,
  other_directory TEXT NOT NULL
) STRICT;

-- Which database this is, so that a client can tell one that was restored: one row with a random number, made at a start that finds none.
-- `hongyan backup` leaves it out of the copy, and so each restore of it is another database.
CREATE TABLE generation (
    number BIGINT NOT NULL
);

DROP TABLE store_clock;

CREATE TABLE windows (
    "embedding" FLOAT[1280] NOT NULL,
    "filename" VARCHAR NOT NULL,
    "site_id" INTEGER,
    "site_name" VARCHAR,
    "subsite_name" VARCHAR,
    "file_seq_id" BIGINT,
    "file_timestamp" TIMESTAMP WITH TIME ZONE,
    "utc_offset_minutes" SMALLINT,
    "file_seconds_since_midnight" INTEGER,
    "recording_offset_in_file" DOUBLE NOT NULL,
    "window_start" TIMESTAMP WITH TIME ZONE,
    "window_start_local" TIMESTAMP,
    "channel" SMALLINT NOT NULL,
    "site" VARCHAR,
    "date" DATE
);
COMMENT ON COLUMN windows."embedding" IS 'the model''s embedding of the window; the model''s own, without dimension';
COMMENT ON COLUMN windows."filename" IS 'the recording, as the shard names it';
COMMENT ON COLUMN windows."site_id" IS '285 of the folder site_0285';
COMMENT ON COLUMN windows."site_name" IS 'the recorder''s place';
COMMENT ON COLUMN windows."subsite_name" IS 'Wet-A, Wet-B, Dry-A or Dry-B';
COMMENT ON COLUMN windows."file_seq_id" IS 'the A2O''s id of the recording';
COMMENT ON COLUMN windows."file_timestamp" IS 'start of the recording; microseconds since 1970-01-01 00:00 UTC';
COMMENT ON COLUMN windows."utc_offset_minutes" IS 'of the recording''s local time; null where the name says Z; minutes';
COMMENT ON COLUMN windows."file_seconds_since_midnight" IS 'time of day at which the recording starts, local; seconds';
COMMENT ON COLUMN windows."recording_offset_in_file" IS 'from the recording''s start to the window''s; seconds';
COMMENT ON COLUMN windows."window_start" IS 'start of the window; microseconds since 1970-01-01 00:00 UTC';
COMMENT ON COLUMN windows."window_start_local" IS 'the same on the recorder''s wall clock; UTC where that is unknown; microseconds since 1970-01-01 00:00 on that clock';
COMMENT ON COLUMN windows."channel" IS '0, or others where audio was separated';
COMMENT ON COLUMN windows."site" IS 'site_0285 where the id is known, else the recorder''s name, with _ for what a folder cannot hold, and a hash where other names would be written alike';
COMMENT ON COLUMN windows."date" IS 'local day on which the window starts; UTC''s where that is unknown';

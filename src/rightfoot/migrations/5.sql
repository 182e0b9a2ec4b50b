-- What these have counted is in no native bucket, so that the histogram starts again.
DELETE FROM check_histogram;

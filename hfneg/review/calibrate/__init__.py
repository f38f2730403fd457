"""What `hfneg.calibrate` is made of: estimators on arrays, judgments, thresholds and what is written of them."""

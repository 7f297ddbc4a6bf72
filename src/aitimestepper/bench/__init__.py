"""Studies that compare rules for the step on problems that no rule was calibrated on."""

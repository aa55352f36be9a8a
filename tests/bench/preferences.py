"""DPO and SPIN on seeds 0, 1, 2: held-out accuracy of M_0 and after the last round, beside a control that trains on D_train for as many steps."""

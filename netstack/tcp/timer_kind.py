"""What the one timer of a connection's send side (`Connection.timer_at`) is armed for: never two at once."""

RETRANSMIT = "retransmit"
REORDER = "reorder"
LOSS_PROBE = "loss-probe"
WINDOW_PROBE = "window-probe"

"""PyTorch: pretrain, fine-tune, evaluate and export jet encoders. Run from a checkout."""

"""What goes out: the image, and `make release`'s wheel, chart, bill of materials and licences."""

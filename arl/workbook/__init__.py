"""The workbook: notebooks, the explorer, the page."""

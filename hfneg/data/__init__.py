"""What users bring, read and checked: columns, files, ids, judgments, labels. Nothing here searches."""

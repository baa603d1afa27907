"""The catalogues as the county edits them: change sets, versions with dates, publishing, audit."""

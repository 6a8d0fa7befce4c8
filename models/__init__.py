"""The science: experiments, update rules, streams; it knows no Ray, SQL or HTTP."""

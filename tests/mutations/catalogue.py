"""All mutations."""

from tests.mutations import of_archives, of_content, of_http2, of_transfers

MUTATIONS = (
    *of_transfers.WRITING,
    *of_transfers.RESUMING,
    *of_transfers.LOCKING,
    *of_content.PUBLISHING,
    *of_content.BEING_THERE,
    *of_content.ENDING,
    *of_archives.READING,
    *of_archives.WRITING,
    *of_http2.TURNS,
    *of_http2.WORKING,
    *of_http2.FLOW,
    *of_http2.REFUSING,
)

/* Lets certtool verify at another time than now, which it has no option for: preloaded, time() is
 * what VERIFY_AT says, in seconds since the epoch. */
#include <stdlib.h>
#include <time.h>

time_t time(time_t *result)
{
	time_t at = (time_t)atoll(getenv("VERIFY_AT"));

	if (result)
		*result = at;
	return at;
}
